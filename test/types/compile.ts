import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from '../typescript.js'

/**
 * Compiles programs that a user could write and tells where the compiler's opinion differs from the
 * marks in them. A line that ends with `//! text` must have an error whose message contains the text (an empty
 * text is any error); a line without a mark must have none.
 */
export interface Mark {
  readonly line: number
  readonly text: string
}

const MARK = /\/\/!(.*)$/

export function marksOf(text: string): Mark[] {
  return text.split('\n').flatMap((line, i) => {
    const mark = MARK.exec(line)
    return mark === null ? [] : [{ line: i + 1, text: (mark[1] ?? '').trim() }]
  })
}

/** What is wrong with a file: errors that are not marked, marks without their error. */
export function differences(text: string, errors: readonly Mark[]): string[] {
  const marks = marksOf(text)
  const unmarked = errors
    .filter((error) => !marks.some((mark) => mark.line === error.line))
    .map((error) => `line ${error.line}: ${error.text}`)
  const unmet = marks
    .filter((mark) => !errors.some((error) => error.line === mark.line && error.text.includes(mark.text)))
    .map((mark) => `line ${mark.line}: compiles, or fails in another way, but must fail with "${mark.text}"`)
  return [...unmarked, ...unmet]
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Differences of each file, by its name. `millrace` is the built package, as a user's compiler sees it. */
export function compileFixtures(files: readonly string[]): Map<string, string[]> {
  const config = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root)
  const program = ts.createProgram([...files], {
    ...options,
    noEmit: true,
    noUnusedLocals: false,
    paths: { millrace: [`${root}dist/index.d.ts`] },
  })
  const result = new Map<string, string[]>()
  for (const file of files) {
    const source = program.getSourceFile(file)
    if (source === undefined) throw new Error(`${file} is not there`)
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    const errors = found.map((diagnostic) => ({
      line: source.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line + 1,
      text: ts.flattenDiagnosticMessageText(diagnostic.messageText, ' '),
    }))
    result.set(basename(file), differences(source.text, errors))
  }
  return result
}
