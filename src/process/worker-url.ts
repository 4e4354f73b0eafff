/**
 * The URL of a worker's compiled file.
 *
 * Tests run the TypeScript sources, but a worker thread runs no TypeScript. From a source file the URL therefore leads
 * to the same place in `dist/`, which must have been built.
 *
 * @param importer `import.meta.url` of the caller.
 * @param path of the worker, relative to the caller, ending in `.js`.
 */
export const workerUrl = (importer: string, path: string): URL => {
  const fromSources = importer.endsWith('.ts');
  // The path of the checkout may contain `/src/` itself: only the last one is ours.
  const base = fromSources ? importer.replace(/\/src\/(?!.*\/src\/)/, '/dist/') : importer;
  return new URL(path, base);
};
