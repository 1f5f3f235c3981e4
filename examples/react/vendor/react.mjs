// React 18's own files are classic scripts: this makes a module of what they leave behind.
export const {
  createContext,
  createElement,
  Fragment,
  memo,
  StrictMode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} = globalThis.React;
