// Applies the chosen theme before anything is painted.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* storage may be blocked: then use the system's theme */ }
})();
