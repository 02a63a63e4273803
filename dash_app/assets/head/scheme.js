// Before anything is painted: the colour scheme the reader chose, else the system's, so
// that a dark page never flashes white. Mantine keeps the choice under this key.
(function () {
  "use strict";
  let chosen = null;
  try {
    chosen = window.localStorage.getItem("mantine-color-scheme-value");
  } catch {
    chosen = null; // storage is switched off: the system's scheme it is
  }
  const dark =
    chosen === "dark" ||
    (chosen !== "light" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.mantineColorScheme = dark ? "dark" : "light";
})();
