"use strict";
// The page reads without this: marks carry titles, toggles are style. Here the strip under the
// pointer shows what every visible arm has at that size.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

function lines(strip) {
  const marks = strip.closest("svg.panel").querySelectorAll(".mark");
  return [...marks].filter(
    (mark) => mark.dataset.n === strip.dataset.n && mark.getClientRects().length > 0,
  );
}

function show(event) {
  const shown = lines(event.currentTarget).map((mark) => {
    const line = document.createElement("div");
    line.className = mark.closest(".arm").getAttribute("class");
    line.textContent = mark.querySelector("title").textContent;
    return line;
  });
  tip.replaceChildren(...shown);
  tip.hidden = shown.length === 0;
  const right = event.clientX + 18 + tip.offsetWidth > window.innerWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - 18 - tip.offsetWidth : event.clientX + 18)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 4)}px`;
}

for (const panel of document.querySelectorAll("svg.panel")) {
  panel.classList.add("live");
  for (const strip of panel.querySelectorAll(".column")) {
    strip.addEventListener("pointermove", show);
    strip.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
}
