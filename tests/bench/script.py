"""What a user would write for a dataset: one process, with `gzip`, `json` and `datasketch`.

    python tests/bench/script.py LOGS OUT

It does what `floor.py` does, without haste. Prints its counts as JSON.
"""

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 128
THRESHOLD = 0.8
VALIDATION = 0.1


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def read(record: dict[str, Any]) -> tuple[list[dict[str, str]], str]:
    request, response = record["input"]["inputBodyJson"], record["output"]["outputBodyJson"]
    messages = [
        {"role": each["role"], "content": text_of(each["content"])} for each in request["messages"]
    ]
    if record["operation"] == "ChatCompletions":
        return messages, response["choices"][0]["message"]["content"]
    messages.insert(0, {"role": "system", "content": text_of(request["system"])})
    message = response["output"]["message"] if record["operation"] == "Converse" else response
    return messages, text_of(message["content"])


def sketch(text: str) -> Any:
    words = text.lower().split()
    result = MinHash(num_perm=PERMUTATIONS)
    for n in range(max(1, len(words) - 4)):
        result.update(" ".join(words[n : n + 5]).encode())
    return result


def main(logs: Path, out: Path) -> dict[str, int]:
    counts = {"records": 0, "train": 0, "validation": 0}
    keys = set[str]()
    near = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    rng = random.Random(1)
    with (out / "train.jsonl").open("w") as train, (out / "validation.jsonl").open("w") as other:
        for path in sorted(logs.rglob("*.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    record = json.loads(line)
                    counts["records"] += 1
                    if record.get("requestMetadata", {}).get("env") != "prod":
                        continue
                    messages, answer = read(record)
                    key = json.dumps(messages)
                    if key in keys:
                        continue
                    keys.add(key)
                    minhash = sketch("\n".join(each["content"] for each in messages[1:]))
                    if near.query(minhash):
                        continue
                    near.insert(record["requestId"], minhash)
                    side = "validation" if rng.random() < VALIDATION else "train"
                    lines = {"id": record["requestId"], "messages": messages}
                    text = json.dumps(lines | {"reference_answer": answer})
                    (other if side == "validation" else train).write(text + "\n")
                    counts[side] += 1
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
