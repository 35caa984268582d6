"use strict";
// The sheet of a review: one line at a time, judged by keyboard. All content stands in the page as
// text; this script shows and hides it, and never writes HTML.

const byId = (id) => document.getElementById(id);
const articles = [...document.querySelectorAll("article")];
const sheet = JSON.parse(byId("lines").dataset.sheet);
const storageKey = `sluice-review ${sheet.release.digest} ${JSON.stringify(sheet.sheet)}`;
const isText = (value) => typeof value === "string";
const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const VERDICTS = { 1: "right", 2: "wrong", 3: "unsure", r: "right", w: "wrong", u: "unsure" };

// What is kept: `lines` has {verdict, fields, comment} by id; `fields` are the texts of a correction.
let state = { reviewer: "", current: 0, lines: {} };
let isKept = true; // whether this browser keeps the state over a reload
let isSaved = true; // whether the last file holds everything

// --- one line

const article = () => articles[state.current];
const idOf = (each) => each.dataset.id;
const entry = (each) => state.lines[idOf(each)] || {};

function change(each, values) {
  const line = { ...entry(each), ...values };
  for (const name of Object.keys(line)) if (!line[name]) delete line[name];
  if (Object.keys(line).length) state.lines[idOf(each)] = line;
  else delete state.lines[idOf(each)];
  isSaved = false;
  keep();
  show();
}

// A list of texts without line breaks is edited as lines, any other value as JSON.
const isLines = (value) => Array.isArray(value) && value.every((each) => isText(each) && each && !each.includes("\n"));

function asText(value) {
  if (isText(value)) return value;
  return isLines(value) ? value.join("\n") : JSON.stringify(value, null, 2);
}

function asValue(text, original) {
  if (isText(original)) return text;
  return isLines(original) ? text.split("\n").filter((line) => line.trim()) : JSON.parse(text);
}

// The reference answer as texts by field; an answer that is a text has one field without a name.
function originalFields(each) {
  const answer = JSON.parse(each.dataset.answer);
  if (isText(answer)) return { "": answer };
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, asText(value)]));
}

// The corrected answer as it is saved; throws SyntaxError where a field must be JSON and is not.
function correctedAnswer(each, fields) {
  const answer = JSON.parse(each.dataset.answer);
  if (isText(answer)) return fields[""];
  return Object.fromEntries(Object.keys(fields).map((name) => [name, asValue(fields[name], answer[name] ?? "")]));
}

function isJson(each, name) {
  try {
    correctedAnswer(each, { ...originalFields(each), [name]: entry(each).fields?.[name] ?? originalFields(each)[name] });
    return true;
  } catch {
    return false;
  }
}

function judge(verdict) {
  const line = entry(article());
  if (line.fields && verdict !== "wrong") {
    say("You have corrected this answer, so it counts as wrong. Undo the correction first.");
    return;
  }
  say("");
  change(article(), { verdict: line.verdict === verdict && !line.fields ? "" : verdict });
}

function correct(name, text) {
  const each = article();
  const fields = { ...(entry(each).fields || originalFields(each)), [name]: text };
  const original = originalFields(each);
  const isChanged = Object.keys(fields).some((key) => fields[key] !== original[key]);
  change(each, isChanged ? { fields, verdict: "wrong" } : { fields: null });
}

// --- what is shown

function say(text) {
  byId("message").textContent = text;
}

function matches(each) {
  const filter = byId("filter").value;
  const verdict = entry(each).verdict;
  if (filter === "all") return true;
  if (filter === "open") return !verdict;
  return verdict === filter || each.dataset.groups.split(" ").includes(filter);
}

function go(step) {
  for (let place = state.current + step; place >= 0 && place < articles.length; place += step) {
    if (matches(articles[place])) return goTo(place);
  }
  say(step > 0 ? "This is the last line of the selection." : "This is the first line of the selection.");
}

function goTo(place) {
  state.current = place;
  say("");
  keep();
  show();
  fillEditor();
  window.scrollTo(0, 0);
  byId(`title-${place + 1}`).focus({ preventScroll: true });
}

function show() {
  const verdicts = articles.map((each) => entry(each).verdict);
  const number = (verdict) => verdicts.filter((each) => each === verdict).length;
  const judged = verdicts.filter(Boolean).length;
  articles.forEach((each, place) => {
    const { verdict, fields, comment } = entry(each);
    each.classList.toggle("current", place === state.current);
    const mark = each.querySelector(".verdict");
    mark.textContent = verdict ? `· ${verdict}${fields ? ", corrected" : ""}` : "";
    mark.className = `verdict ${verdict || ""}`;
    showRemarks(each, fields || {}, comment);
  });
  byId("bar").value = judged;
  byId("count").textContent =
    `${judged} of ${articles.length} judged: ${number("right")} right, ${number("wrong")} wrong, ${number("unsure")} unsure`;
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === entry(article()).verdict));
  }
}

// For print: what was corrected and said stands below the line.
function showRemarks(each, fields, comment) {
  const original = originalFields(each);
  const names = Object.keys(fields).filter((name) => fields[name] !== original[name]);
  const texts = names.map((name) => `Corrected ${name || "answer"}: ${fields[name]}`);
  if (comment) texts.push(`Comment: ${comment}`);
  each.querySelector(".remarks").replaceChildren(
    ...texts.map((text) => Object.assign(document.createElement("p"), { textContent: text })),
  );
}

function fillEditor() {
  const { fields, comment } = entry(article());
  byId("comment").value = comment || "";
  byId("correction").hidden = !fields;
  const texts = fields || originalFields(article());
  byId("fields").replaceChildren(
    ...Object.entries(texts).map(([name, text]) => {
      const label = document.createElement("label");
      label.className = "field";
      label.append(name || "Answer");
      const area = document.createElement("textarea");
      area.rows = Math.min(8, text.split("\n").length + 1);
      area.value = text;
      area.addEventListener("input", () => {
        correct(name, area.value);
        area.setAttribute("aria-invalid", String(!isJson(article(), name)));
        say(isJson(article(), name) ? "" : `${name} must be JSON, as it was before.`);
      });
      area.setAttribute("aria-invalid", String(!isJson(article(), name)));
      label.append(area);
      return label;
    }),
  );
}

function edit() {
  byId("correction").hidden = false;
  byId("fields").querySelector("textarea").focus();
}

function undo() {
  change(article(), { fields: null });
  fillEditor();
  byId(`title-${state.current + 1}`).focus();
}

// --- what is kept in this browser

function keep() {
  try {
    localStorage.setItem(storageKey, JSON.stringify(state));
  } catch {
    isKept = false; // a browser may refuse it to local files, or be full
  }
}

function restore() {
  try {
    const text = localStorage.getItem(storageKey);
    if (text) state = readState(JSON.parse(text));
  } catch {
    isKept = false;
  }
}

function readState(value) {
  const place = Number.isInteger(value.current) ? value.current : 0;
  const lines = {};
  for (const each of articles) {
    const line = isRecord(value.lines) && Object.hasOwn(value.lines, idOf(each)) ? value.lines[idOf(each)] : null;
    if (!isRecord(line)) continue;
    const isFields = isRecord(line.fields) && Object.values(line.fields).every(isText);
    lines[idOf(each)] = {
      ...(Object.values(VERDICTS).includes(line.verdict) && { verdict: line.verdict }),
      ...(isFields && { fields: line.fields }),
      ...(isText(line.comment) && { comment: line.comment }),
    };
  }
  return {
    reviewer: isText(value.reviewer) ? value.reviewer : "",
    current: Math.max(0, Math.min(place, articles.length - 1)),
    lines,
  };
}

// --- the file

function reviewFile() {
  const lines = {};
  for (const each of articles) {
    const { verdict, fields, comment } = entry(each);
    if (!verdict && !comment) continue;
    const line = { verdict: verdict || null };
    if (fields) line.corrected_answer = correctedAnswer(each, fields);
    if (comment) line.comment = comment;
    lines[idOf(each)] = line;
  }
  return { schema_version: 1, ...sheet, reviewer: state.reviewer.trim(), saved_at: new Date().toISOString(), lines };
}

function save() {
  if (!state.reviewer.trim()) {
    say("Enter your name first: the review is recorded under it.");
    byId("reviewer").focus();
    return;
  }
  const broken = articles.findIndex((each) => Object.keys(entry(each).fields || {}).some((name) => !isJson(each, name)));
  if (broken >= 0) {
    goTo(broken);
    say("The correction of this line is not valid JSON. Repair it, or undo it.");
    return;
  }
  const file = reviewFile();
  const name = file.reviewer.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "reviewer";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 2)], { type: "application/json" }));
  link.download = `review-${file.release.id}-${name}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  isSaved = true;
  say(`Saved ${Object.keys(file.lines).length} lines as ${link.download}.`);
}

async function load(file) {
  let value;
  try {
    value = JSON.parse(await file.text());
  } catch {
    return say("This file is not a review.");
  }
  if (!isRecord(value) || value.schema_version !== 1 || !isRecord(value.lines) || !isRecord(value.release)) {
    return say("This file is not a review.");
  }
  if (value.release.digest !== sheet.release.digest) return say("This file is the review of another release.");
  const lines = {};
  for (const each of articles) {
    const line = Object.hasOwn(value.lines, idOf(each)) ? value.lines[idOf(each)] : null;
    if (isRecord(line)) lines[idOf(each)] = { ...line, fields: loadFields(each, line.corrected_answer) };
  }
  const elsewhere = Object.keys(value.lines).length - Object.keys(lines).length;
  state = readState({ ...state, reviewer: value.reviewer, lines: { ...state.lines, ...lines } });
  byId("reviewer").value = state.reviewer;
  isSaved = false;
  keep();
  show();
  fillEditor();
  say(`Loaded ${Object.keys(lines).length} lines.` + (elsewhere ? ` ${elsewhere} more are not on this sheet; keep that file.` : ""));
}

function loadFields(each, answer) {
  if (isText(answer)) {
    const names = Object.keys(originalFields(each));
    return { ...originalFields(each), [names[0]]: answer };
  }
  if (!isRecord(answer)) return null;
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, asText(value)]));
}

// --- keys and buttons

function onKey(event) {
  const isTyping = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && isTyping) {
    event.target.blur();
    byId(`title-${state.current + 1}`).focus({ preventScroll: true });
    return;
  }
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  const actions = { j: () => go(1), k: () => go(-1), e: edit, c: () => byId("comment").focus(), s: save };
  const action = Object.hasOwn(VERDICTS, key) ? () => judge(VERDICTS[key]) : actions[key];
  if (!action || (event.repeat && !"jk".includes(key))) return;
  event.preventDefault();
  action();
}

function start() {
  restore();
  document.body.classList.add("scripted");
  for (const id of ["tools", "editor", "judge"]) byId(id).hidden = false;
  byId("reviewer").value = state.reviewer;
  byId("reviewer").addEventListener("input", (event) => {
    state.reviewer = event.target.value;
    isSaved = false;
    keep();
  });
  byId("filter").addEventListener("change", () => {
    const first = articles.findIndex(matches);
    if (first < 0) say("No line matches.");
    else if (!matches(article())) goTo(first);
  });
  byId("comment").addEventListener("input", (event) => change(article(), { comment: event.target.value }));
  byId("load").addEventListener("change", (event) => {
    if (event.target.files.length) load(event.target.files[0]);
    event.target.value = "";
  });
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.addEventListener("click", () => judge(button.dataset.verdict));
  }
  const clicks = { save, edit, undo, next: () => go(1), previous: () => go(-1) };
  for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
  document.addEventListener("keydown", onKey);
  window.addEventListener("beforeunload", (event) => {
    if (!isKept && !isSaved) event.preventDefault();
  });
  keep();
  show();
  fillEditor();
  if (!isKept) say("This browser keeps nothing of this page. Save your file before you close it.");
}

if (articles.length) start();
