"use strict";
const one = (selector) => document.querySelector(selector);
const every = (selector) => [...document.querySelectorAll(selector)];
const test = JSON.parse(one("#test").textContent);
const place = `giblet-listen-${test.id}`;
const player = new Audio();
let kept = { listener: "", answers: [], at: 0 }, heard = new Set(), begun = Date.now(), stored = true;
// Kept twice, and the newer counts: only the storage outlives the tab, and a busy Chromium now and then opens a file
// with an empty storage, never with an empty history.
const newer = (found) => { if (found?.at > kept.at) kept = found; };
newer(history.state?.[place]);
try { newer(JSON.parse(localStorage.getItem(place))); } catch { stored = false; }
function keep() {
  kept.at = Math.max(Date.now(), kept.at + 1);
  try { history.replaceState({ [place]: kept }, ""); } catch { /* some browsers bound how often; the storage has it */ }
  try { localStorage.setItem(place, JSON.stringify(kept)); } catch { stored = false; }
}
const now = () => test.trials[kept.answers.length];
const say = (text) => { one("#state").textContent = stored ? text : `${text} This browser keeps nothing: do not close the page.`; };

function chance(right, n) {
  let term = 0.5 ** n, sum = 0;
  for (let k = 0; k <= n; k += 1) {
    if (k >= right) sum += term;
    term *= (n - k) / (k + 1);
  }
  return Math.min(1, sum);
}

function show() {
  const trial = now();
  player.pause();
  heard = new Set();
  begun = Date.now();
  every("[data-play]").forEach((b) => b.classList.remove("on"));
  every("[data-say]").forEach((b) => { b.disabled = true; });
  one("#trial").hidden = !trial;
  one("#end").hidden = Boolean(trial);
  if (!trial) { finish(); return; }
  one("#trial-title").textContent = `Trial ${kept.answers.length + 1} of ${test.trials.length}`;
  say("Play A, B and X.");
}

function play(name) {
  const trial = now();
  if (!trial) return;
  player.src = test.sounds[trial[name].sound];
  player.play().catch(() => {});
  every("[data-play]").forEach((b) => b.classList.toggle("on", b.dataset.play === name));
  heard.add(name);
  const all = heard.size === 3;
  every("[data-say]").forEach((b) => { b.disabled = !all; });
  say(all ? "Is X A or B?" : `Still to be heard: ${["a", "b", "x"].filter((n) => !heard.has(n)).join(", ").toUpperCase()}.`);
}

function answer(said) {
  const trial = now();
  if (!trial || heard.size < 3) return;
  const seconds = Math.round((Date.now() - begun) / 100) / 10;
  kept.answers.push({ trial: kept.answers.length + 1, answer: trial.answer, said, right: said === trial.answer, seconds });
  keep();
  show();
  one(now() ? "#trial-title" : "#end-title").focus();
}

function result() {
  const right = kept.answers.filter((a) => a.right).length, n = kept.answers.length;
  const names = ["study", "task", "version", "against", "seed", "clip_s", "id"];
  const told = Object.fromEntries(names.map((k) => [k, test[k]]));
  const rows = kept.answers.map((a, k) => ({ ...a, ...Object.fromEntries(["a", "b", "x"].flatMap((c) => [
    [`${c}_version`, test.trials[k][c].version], [`${c}_s`, test.trials[k][c].begin_s]])) }));
  return { ...told, listener: kept.listener, n, right, p: chance(right, n), answers: rows };
}

function finish() {
  const { right, n, p } = result();
  const shown = p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`;
  one("#result").textContent = `${right} of ${n} right; p ${shown} (exact binomial: so many or more by guessing).`;
  one("#listener").value = kept.listener;
}

function table({ answers, ...rest }) {
  const shared = ["listener", "study", "task", "version", "against", "seed"];
  const clean = (value) => String(value).replace(/[\t\r\n]+/g, " ");
  const head = [...Object.keys(answers[0]), ...shared];
  const lines = answers.map((a) => [...Object.values(a), ...shared.map((k) => rest[k])].map(clean).join("\t"));
  return `${[head.join("\t"), ...lines].join("\n")}\n`;
}

function save(kind) {
  const found = result();
  const text = kind === "json" ? `${JSON.stringify(found, null, 1)}\n` : table(found);
  const link = document.createElement("a");
  link.download = `listening-${test.task}-${found.listener.replace(/\W+/g, "_") || "listener"}.${kind}`;
  link.href = URL.createObjectURL(new Blob([text], { type: kind === "json" ? "application/json" : "text/tab-separated-values" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

every("[data-play]").forEach((b) => b.addEventListener("click", () => play(b.dataset.play)));
every("[data-say]").forEach((b) => b.addEventListener("click", () => answer(b.dataset.say)));
every("[data-save]").forEach((b) => b.addEventListener("click", () => save(b.dataset.save)));
one("#listener").addEventListener("input", (e) => { kept.listener = e.target.value.trim(); keep(); });
one("#again").addEventListener("click", () => {
  if (!confirm("Throw these answers away and begin again?")) return;
  kept = { ...kept, answers: [] };
  keep();
  show();
});
player.addEventListener("error", () => say("This browser cannot play the sound (FLAC)."));
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || e.target.matches("input")) return;
  const key = e.key.toLowerCase();
  if (["a", "b", "x"].includes(key)) play(key);
  if (key === "1" || key === "2") answer(key === "1" ? "A" : "B");
});
show();
