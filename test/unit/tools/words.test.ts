import { describe, expect, it } from 'vitest';
import { checkCode, checkMarkdown, checkText } from '../../support/tools/words.js';

describe('the word check', () => {
  it('finds a replaced word in a comment, a string, a template and a name, with its line', () => {
    const code = ['// Nobody knows.', 'const toldOnce = "she";', 'const text = `at the ${1} door`;'].join('\n');
    expect(checkCode(code)).toEqual([
      { line: 1, problem: expect.stringContaining('"Nobody" →') },
      { line: 2, problem: expect.stringContaining('"told" in the name "toldOnce"') },
      { line: 2, problem: expect.stringContaining('"she" →') },
      { line: 3, problem: expect.stringContaining('"door" →') },
    ]);
  });

  it('finds a replaced word in a private name, a doc comment and the last comment of a file', () => {
    const code = ['/** Tells them. */', 'class A {', '  #heardAt = 0;', '}', '// goodbye'].join('\n');
    expect(checkCode(code).map(({ line }) => line)).toEqual([1, 3, 5]);
  });

  it('accepts words that only contain a replaced word', () => {
    expect(checkCode('// The shepherd indoors, newsletter, recommended\nconst hearth = threshold;')).toEqual([]);
  });

  it('finds a replaced word in the text of a page and gives the line', () => {
    expect(checkMarkdown('# Title\n\nGood.\n\nIt is told.')).toEqual([
      { line: 5, problem: expect.stringContaining('"told"') },
    ]);
    expect(checkText('a: 1\nb: woken')).toEqual([{ line: 2, problem: expect.stringContaining('"woken"') }]);
  });

  it('finds a sentence of more than 40 words in a page, but not a table, a list or code of that length', () => {
    const words = (count: number, separator = ' ') =>
      Array.from({ length: count }, (_, at) => `word${at}`).join(separator);
    expect(checkMarkdown(`${words(41)}.`)).toEqual([{ line: 1, problem: 'a sentence of 41 words (at most 40)' }]);
    expect(checkMarkdown(`${words(40)}. ${words(40)}.`)).toEqual([]);
    expect(checkMarkdown(words(50, '\n- '))).toEqual([]);
    expect(checkMarkdown(`| ${words(50, ' | ')} |`)).toEqual([]);
    expect(checkMarkdown(`\`\`\`\n${words(60)}\n\`\`\``)).toEqual([]);
  });
});
