// Runs before the first paint: puts the reader's choices on the root element, so that nothing flashes. Choices live in
// plain cookies of this browser; they hold no more than a word each.
(() => {
  const root = document.documentElement;
  const choice = (name) => (document.cookie.match(`(?:^|; )q_${name}=([a-z]+)`) || [])[1];
  const theme = choice("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const system = matchMedia("(prefers-color-scheme: dark)");
  // The system's theme may change while the page is open.
  const follow = () => {
    const chosen = choice("theme");
    root.dataset.bsTheme = (chosen ? chosen === "dark" : system.matches) ? "dark" : "light";
  };
  follow();
  system.addEventListener("change", follow);
  const density = choice("density");
  if (density) root.dataset.density = density;
  if (choice("side") === "rail") root.dataset.side = "rail";
  root.dataset.js = "";
})();
