"use strict";
for (const group of document.querySelectorAll("[data-together]")) {
  const films = [...group.querySelectorAll("video")];
  const bar = group.querySelector(".transport");
  const [button, seek, sound] = ["button", "input", "select"].map((n) => bar.querySelector(n));
  const lead = films[0];
  const each = (act) => films.forEach(act);
  const hear = () => each((f, i) => { f.muted = String(i) !== sound.value; });
  const move = (time) => each((f) => { f.currentTime = Math.min(time, f.duration || time); });
  button.addEventListener("click", () => {
    if (!lead.paused) { each((f) => f.pause()); return; }
    move(lead.ended ? 0 : lead.currentTime);
    each((f) => f.play());
  });
  seek.addEventListener("input", () => move((seek.value / 1000) * lead.duration));
  sound.addEventListener("change", hear);
  lead.addEventListener("play", () => { button.textContent = "Pause all"; });
  lead.addEventListener("pause", () => { button.textContent = "Play all"; });
  lead.addEventListener("timeupdate", () => {
    seek.value = 1000 * lead.currentTime / lead.duration;
    seek.setAttribute("aria-valuetext", `${lead.currentTime.toFixed(1)} s`);
    if (lead.paused) return;
    each((f) => { if (!f.paused && Math.abs(f.currentTime - lead.currentTime) > 0.15) f.currentTime = lead.currentTime; });
  });
  each((f) => { f.controls = false; });
  hear();
  bar.hidden = false;
}
const boxes = document.querySelectorAll(".scroll");
const reach = () => boxes.forEach((b) => {
  const wider = b.scrollWidth > b.clientWidth + 1 || b.scrollHeight > b.clientHeight + 1;
  wider ? b.setAttribute("tabindex", "0") : b.removeAttribute("tabindex");
});
addEventListener("resize", reach);
document.addEventListener("toggle", reach, true);
addEventListener("load", reach);
const folds = [...document.querySelectorAll("details")];
let opened = [];
addEventListener("beforeprint", () => { opened = folds.filter((d) => !d.open); opened.forEach((d) => { d.open = true; }); });
addEventListener("afterprint", () => opened.forEach((d) => { d.open = false; }));
