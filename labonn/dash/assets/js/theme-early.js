// The theme chosen earlier, before anything is drawn: as a module it would come after the first paint.
try {
  const theme = localStorage.getItem("labonn theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // storage is forbidden: the computer's own theme it is
}
