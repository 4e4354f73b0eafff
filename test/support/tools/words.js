#!/usr/bin/env node
// Checks the words of comments, strings, identifiers and pages: one standard term for one thing (docs/glossary.md).
// Usage: words.js [path prefix…]. Without a path it checks every file that git tracks.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

/** Longer sentences are hard to follow. Counted in Markdown only. */
const MAX_SENTENCE_WORDS = 40;

/**
 * Words that may not come back, and what to write instead. Each is matched as a whole word, in any case.
 * @type {readonly (readonly [pattern: string, instead: string])[]}
 */
const REPLACED = [
  ['she|her|hers|herself', 'the user, they'],
  [
    'whoever|whomever|nobody|nobodys|nobodies|somebody|everybody|anybody',
    'a client, an unauthenticated caller, no session, …',
  ],
  ['tell|tells|telling|told|untold', 'publish, deliver, send, notify, report'],
  ['hear|hears|heard|hearing|unheard', 'receive, read'],
  ['knock|knocks|knocked|knocking', 'connect, send a request'],
  ['farewell|farewells|goodbye|goodbyes', 'close reason'],
  ['door|doors', 'transport, endpoint'],
  ['house|houses', 'server harness'],
  ['slept|asleep|awake|sleeper|sleeps', 'process pause, paused, waits'],
  ['woken|awoken|wakes', 'resumed, expired, notified'],
  ['signs? of life|life signs?', 'activity'],
  ['lets? in|letting in|turn(?:s|ed) away|puts? off|putting off', 'accept, reject, delay'],
  ['mend|mends|mended', 'fix'],
  ['errand|errands|stranger|strangers|newcomer|newcomers', 'task, unknown client, new session'],
  ['speaker|speakers|carrier|carriers', 'session, socket'],
  ['news', 'change, update'],
];

const PROSE = REPLACED.map(([pattern, instead]) => ({ regex: new RegExp(`\\b(?:${pattern})\\b`, 'gi'), instead }));
/** Parts of camelCase names. Patterns of several words cannot occur in one. */
const NAME_PARTS = new Map(
  REPLACED.flatMap(([pattern, instead]) =>
    pattern
      .split('|')
      .filter((word) => /^\w+$/.test(word))
      .map((word) => [word, instead]),
  ),
);

/** @typedef {{ line: number, problem: string }} Problem */

/**
 * @param {string} text
 * @returns {Iterable<{ index: number, problem: string }>}
 */
function* inProse(text) {
  for (const { regex, instead } of PROSE)
    for (const match of text.matchAll(regex)) yield { index: match.index, problem: `"${match[0]}" → ${instead}` };
}

/** @param {string} name */
function* inName(name) {
  const parts = name.split(/_|\$|#|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/);
  for (const part of parts) {
    const instead = NAME_PARTS.get(part.toLowerCase());
    if (instead !== undefined) yield `"${part}" in the name "${name}" → ${instead}`;
  }
}

/**
 * @param {string} text of a TypeScript or JavaScript file.
 * @returns {Problem[]}
 */
export function checkCode(text) {
  const file = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  /** @type {Problem[]} */
  const problems = [];
  const report = (/** @type {number} */ position, /** @type {string} */ problem) =>
    problems.push({ line: file.getLineAndCharacterOfPosition(position).line + 1, problem });
  const prose = (/** @type {number} */ from, /** @type {number} */ to) => {
    for (const { index, problem } of inProse(text.slice(from, to))) report(from + index, problem);
  };
  /** @type {Set<number>} */
  const seen = new Set();
  const comments = (/** @type {ts.CommentRange[] | undefined} */ ranges) => {
    for (const { pos, end } of ranges ?? []) {
      if (seen.has(pos)) continue;
      seen.add(pos);
      prose(pos, end);
    }
  };
  const visit = (/** @type {ts.Node} */ node) => {
    comments(ts.getLeadingCommentRanges(text, node.pos));
    comments(ts.getTrailingCommentRanges(text, node.end));
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node))
      for (const problem of inName(node.text)) report(node.getStart(file), problem);
    else if (
      ts.isStringLiteralLike(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddle(node) ||
      ts.isTemplateTail(node) ||
      ts.isRegularExpressionLiteral(node)
    )
      prose(node.getStart(file), node.end);
    ts.forEachChild(node, visit);
  };
  visit(file);
  comments(ts.getLeadingCommentRanges(text, file.endOfFileToken.pos));
  return problems;
}

/**
 * @param {string} text of a page.
 * @returns {Problem[]}
 */
export function checkMarkdown(text) {
  const problems = checkText(text);
  // Code keeps its lines, so that the numbers below stay right; a table cell, a heading or an item is a text of its own.
  const blank = text
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, (code) => code.replace(/[^\n]/g, ''))
    .replace(/`[^`\n]*`/g, 'code')
    .replace(/\]\([^)\s]*\)/g, ']');
  let line = 1;
  for (const block of blank.split(/(\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.)\s)|\n(?=\s*[|#>])|\|)/)) {
    for (const sentence of block.split(/(?<=[.!?:;])\s+/)) {
      const words = sentence.split(/\s+/).filter((word) => /[A-Za-z]/.test(word)).length;
      if (words > MAX_SENTENCE_WORDS)
        problems.push({ line, problem: `a sentence of ${words} words (at most ${MAX_SENTENCE_WORDS})` });
    }
    line += block.split('\n').length - 1;
  }
  return problems;
}

/**
 * @param {string} text
 * @returns {Problem[]}
 */
export function checkText(text) {
  return Array.from(inProse(text), ({ index, problem }) => ({
    line: text.slice(0, index).split('\n').length,
    problem,
  }));
}

/** Published by others, generated, or the list of the words itself. */
const EXEMPT =
  /^(LICENSE|package-lock\.json|drizzle\/|test\/support\/(contract\.graphql|tools\/words\.js)|test\/unit\/tools\/words\.test\.ts)/;

/** @param {string} path */
function checkFile(path) {
  const text = readFileSync(path, 'utf8');
  if (/\.(ts|js|mjs|cjs)$/.test(path)) return checkCode(text);
  return path.endsWith('.md') ? checkMarkdown(text) : checkText(text);
}

function main() {
  process.chdir(fileURLToPath(new URL('../../..', import.meta.url)));
  const prefixes = process.argv.slice(2);
  const files = execFileSync('git', ['-c', 'safe.directory=*', 'ls-files', '-co', '--exclude-standard'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((path) => path !== '' && existsSync(path) && !EXEMPT.test(path))
    .filter((path) => prefixes.length === 0 || prefixes.some((prefix) => path.startsWith(prefix)));
  if (files.length === 0) throw new Error('The word check read no files.');
  let count = 0;
  for (const path of files)
    for (const { line, problem } of checkFile(path)) {
      count++;
      console.error(`${path}:${line}: ${problem}`);
    }
  if (count > 0) {
    console.error(`${count} words or sentences to replace. docs/glossary.md has the standard terms.`);
    process.exitCode = 1;
  } else console.log(`Words hold: ${files.length} files.`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
