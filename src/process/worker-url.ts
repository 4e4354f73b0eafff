/**
 * Returns the URL of the compiled file of a worker. Tests run the TypeScript sources, which a worker thread cannot load.
 * For a source file, the URL therefore points to the same place in `dist/`, which must have been built.
 * @param importer `import.meta.url` of the caller.
 * @param path of the worker, relative to the caller, ending in `.js`.
 */
export const resolveWorkerUrl = (importer: string, path: string): URL => {
  const isSource = importer.endsWith('.ts');
  // The path of the checkout may contain `/src/` as well. Only the last one is replaced.
  const base = isSource ? importer.replace(/\/src\/(?!.*\/src\/)/, '/dist/') : importer;
  return new URL(path, base);
};
