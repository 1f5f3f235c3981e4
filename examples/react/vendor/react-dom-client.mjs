export const { createRoot, hydrateRoot } = globalThis.ReactDOM;
