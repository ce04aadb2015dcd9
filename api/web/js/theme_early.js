// Runs before the first paint, so that the night desk is never flashed with white.
try {
  const chosen = localStorage.getItem("mizumori.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // storage may be blocked: the system's preference decides
}
