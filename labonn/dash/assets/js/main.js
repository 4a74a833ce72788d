// The page: which view the address asks for, and that the one before is put away.
import { keepSecret } from "./api.js";
import { comparePage } from "./compare.js";
import { put, el } from "./dom.js";
import { listPage } from "./list.js";
import { runPage } from "./run.js";
import { themeSwitch } from "./theme.js";

const VIEWS = [
  [/^#\/run\/([^/]+)$/, (found) => [runPage, decodeURIComponent(found[1])]],
  [/^#\/compare\/([^/]+)$/, (found) => [comparePage, found[1].split(",").map(decodeURIComponent)]],
  [/^(#\/?)?$/, () => [listPage, null]],
];

let leave = () => {};

function show() {
  const before = leave;
  leave = () => {};
  try {
    before();
  } catch (problem) {
    console.error(problem); // whatever is wrong with the view before, the next one is shown
  }
  const main = document.getElementById("main");
  for (const [pattern, view] of VIEWS) {
    const found = pattern.exec(location.hash);
    if (!found) continue;
    try {
      const [page, what] = view(found);
      place(page === runPage ? [what] : page === comparePage ? ["comparison"] : []);
      leave = page(what, main) ?? leave;
      return;
    } catch (problem) {
      if (!(problem instanceof URIError)) throw problem;
    }
  }
  place([]);
  put(main, el("p", { class: "empty" }, "There is no such page here. ", el("a", { href: "#/" }, "To the list of runs")));
}

function place(words) {
  document.title = [...words, "labonn"].join(" – ");
  put(document.getElementById("place"), words.length ? [el("a", { href: "#/" }, "runs"), " / ", el("span", {}, words[0])] : ["runs"]);
}

addEventListener("hashchange", () => {
  show();
  scrollTo(0, 0);
  document.getElementById("main").focus({ preventScroll: true });
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which run is shown
  document.getElementById("main").focus();
});
const token = /^#token=(.+)$/.exec(location.hash);
if (token) {
  keepSecret(decodeURIComponent(token[1]));
  history.replaceState(null, "", "#/"); // not to be seen, nor kept among visited addresses
}
themeSwitch(document.getElementById("theme"));
show();
