"""40 texts that would run, fetch, hide or confuse something in a page or a terminal.

Each that can run a script sets `window.hacked`, which `Visit.active_nodes` reports.
"""

_RUN = "window.hacked=1"

HOSTILE_TEXTS = (
    f"<script>{_RUN}</script>",
    f"<ScRiPt >{_RUN}</sCrIpT\n>",
    "<script src=https://example.com/x.js></script>",
    f"</script><script>{_RUN}</script>",
    f"--></script><script>{_RUN}//",
    f"<!--<script>{_RUN}</script>-->",
    f'"><img src=x onerror={_RUN}>',
    f"' onmouseover='{_RUN}' x='",
    f"` onfocus={_RUN} autofocus tabindex=1 ",
    f"</td></tr></table><svg onload={_RUN}>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<svg><script>{_RUN}</script></svg>",
    f'<svg><foreignObject><iframe srcdoc="<script>parent.{_RUN}</script>"></foreignObject></svg>',
    "<svg><use href=https://example.com/x.svg#x></svg>",
    f"<math><mtext></form><form><mglyph><style></math><img src=x onerror={_RUN}>",
    f"</style><iframe src=javascript:{_RUN}>",
    f"</title><script>{_RUN}</script>",
    f"</textarea><img src=x onerror={_RUN}>",
    f"</pre></details><details open ontoggle={_RUN}>",
    "<a href=https://example.com>click</a>",
    f'<a href="javascript:{_RUN}">click</a>',
    f"<form action=https://example.com><button formaction=javascript:{_RUN}>go</button></form>",
    f"<object data=javascript:{_RUN}></object><embed src=javascript:{_RUN}>",
    "<base href=https://example.com/>",
    "<meta http-equiv=refresh content='0;url=https://example.com'>",
    "<link rel=stylesheet href=https://example.com/x.css>",
    "<link rel=dns-prefetch href=//example.com>",
    "<img src=https://example.com/x.png srcset='https://example.com/y.png 2x'>",
    "<video poster=https://example.com/x.png><source src=https://example.com/x.mp4></video>",
    "<div style='background:url(https://example.com/x.png)'>x</div>",
    "} body { background: url(https://example.com/x.png) } /*",
    "<template><script>1</script></template><noscript><p title='</noscript><img src=x>'>",
    "{{ 7 * 7 }}{% raw %}{{ config }}${7*7}#{7*7}",
    "&lt;script&gt;&#x3c;b&#62;&amp;lt;",
    "]]><b>x</b><![CDATA[",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[1;1H\x9b31m\rcarriage\x08\x08\x7f\x00null",
    "\u202egpj.exe\u202c \u2066abc\u2069 \u200b\u2060\ufeff \u200f",
    "[bold red]markup[/] [link=https://example.com]x[/link] :warning:",
    '=HYPERLINK("https://example.com","x")\n@import url(//example.com/x.css);',
)
