// Figures that the run left in its folder.
import { folder } from "../api.js";
import { el, put } from "../dom.js";
import { Panel } from "../panel.js";

export const wanted = (info) => info.files.length > 0;

export function create(run) {
  const panel = new Panel("figures", "Figures of the run's folder", update);
  let shown = "";
  async function update() {
    const now = JSON.stringify([run.info.files, run.info.status]);
    if (now === shown) return;
    shown = now;
    put(
      panel.body,
      el(
        "div",
        { class: "figures" },
        run.info.files.map((file) => figure(run, file)),
      ),
    );
  }
  return panel;
}

function figure(run, file) {
  const address = `${folder(run.name)}/files/${encodeURIComponent(file)}`;
  const picture = el("img", { src: address, alt: `${file} of ${run.name}`, loading: "lazy" });
  return el("figure", {}, el("a", { href: address, target: "_blank", rel: "noopener" }, picture), el("figcaption", {}, file));
}
