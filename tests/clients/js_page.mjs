// A page without a browser, for a script that renders into #root. Preloaded, it prints what is shown.
import { JSDOM } from "jsdom";

const { window } = new JSDOM('<!doctype html><div id="root"></div>', { pretendToBeVisual: true });
const { document, requestAnimationFrame } = window;
Object.assign(globalThis, { window, document, requestAnimationFrame });
// Node has one of its own from 21 on.
globalThis.navigator ??= window.navigator;
const root = document.getElementById("root");
const shown = () => console.log(root.textContent);
new window.MutationObserver(shown).observe(root, { childList: true, characterData: true, subtree: true });
