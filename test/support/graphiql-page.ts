/** Drives the GraphiQL page like a user: tabs, editors, the execute button and the response pane. */
import type { BrowserContext, Locator, Page } from 'playwright-core';

export class GraphiqlPage {
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
  }

  static async open(context: BrowserContext, origin: string): Promise<GraphiqlPage> {
    const page = await context.newPage();
    await page.goto(`${origin}/graphql`);
    const opened = new GraphiqlPage(page);
    await opened.waitUntilReady();
    return opened;
  }

  /** Resolves when the editors are rendered with their texts. */
  async waitUntilReady(): Promise<void> {
    await this.page.locator('.graphiql-query-editor .view-line').first().waitFor();
  }

  readTabTitles(): Promise<string[]> {
    return this.page.locator('.graphiql-tab-button').allTextContents();
  }

  async selectTab(title: string): Promise<void> {
    await this.page.locator('.graphiql-tab-button', { hasText: title }).click();
  }

  async setHeaders(headers: Readonly<Record<string, string>>): Promise<void> {
    await this.#replaceText('Headers', JSON.stringify(headers));
  }

  async setVariables(variables: unknown): Promise<void> {
    await this.#replaceText('Variables', JSON.stringify(variables));
  }

  async readHeaders(): Promise<string> {
    return this.#readVisibleText(await this.#openEditor('Headers'));
  }

  async readVariables(): Promise<string> {
    return this.#readVisibleText(await this.#openEditor('Variables'));
  }

  /** Starts the operation, or stops the running subscription. */
  async pressExecuteButton(): Promise<void> {
    await this.page.locator('.graphiql-execute-button').click();
  }

  /** Returns the text of the response pane as soon as it contains all parts. @throws Error after 15 s. */
  async waitForResponseText(...parts: readonly string[]): Promise<string> {
    let shown = '';
    for (let polls = 0; polls < 150; polls++) {
      shown = await this.#readVisibleText(this.page.locator('.result-window'));
      if (parts.every((part) => shown.includes(part))) return shown;
      await this.page.waitForTimeout(100);
    }
    throw new Error(`The response pane did not show ${parts.join(' and ')} within 15 s, but:\n${shown}`);
  }

  async #replaceText(editor: 'Headers' | 'Variables', text: string): Promise<void> {
    const locator = await this.#openEditor(editor);
    await locator.locator('.view-lines').click();
    await this.page.keyboard.press('ControlOrMeta+a');
    await this.page.keyboard.press('Delete');
    await this.page.keyboard.insertText(text);
    // GraphiQL saves the text of an editor to its tab after a delay.
    await this.page.waitForTimeout(300);
  }

  async #openEditor(name: 'Headers' | 'Variables'): Promise<Locator> {
    await this.page.getByRole('button', { name, exact: true }).click();
    const editor = this.page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden)');
    // An editor that was hidden renders its lines one after another.
    await this.page.waitForTimeout(200);
    return editor;
  }

  /** Returns the visible lines of an editor. The document has them in any order, wrapped, with no-break spaces. */
  async #readVisibleText(editor: Locator): Promise<string> {
    const lines = await editor.locator('.view-line').evaluateAll((elements: EditorLine[]) =>
      elements
        .map((element) => ({ top: parseFloat(element.style.top), text: element.textContent }))
        .sort((a, b) => a.top - b.top)
        .map(({ text }) => text),
    );
    return lines.join('\n').replaceAll('\u00a0', ' ');
  }
}

/** The part of an HTML element that is used above. */
interface EditorLine {
  readonly textContent: string;
  readonly style: { readonly top: string };
}
