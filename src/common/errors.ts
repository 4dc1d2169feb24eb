/**
 * The one error class of the project. It is told apart by `code`, never by its text, and it crosses
 * threads as plain data, because a structured clone of an Error keeps nothing but its message.
 */

/** What an error is once it has to travel: survives `structuredClone` and JSON. */
export interface ErrorShape {
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
  readonly retriable: boolean
  readonly cause?: ErrorShape
}

export interface ErrorOptions {
  /** The figures: what was found and what was expected. */
  readonly detail?: string | undefined
  /** What a person can do about it. */
  readonly hint?: string | undefined
  /** True where trying the same call again can succeed. Default false. */
  readonly retriable?: boolean | undefined
  readonly cause?: unknown
}

export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly code: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly retriable: boolean
  /** The message alone; `message` also carries detail and hint, since that is what a stack trace prints. */
  readonly summary: string

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    const lines = [message]
    if (options.detail !== undefined) lines.push(`  detail: ${options.detail}`)
    if (options.hint !== undefined) lines.push(`  hint: ${options.hint}`)
    super(lines.join('\n'), options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.summary = message
    this.detail = options.detail
    this.hint = options.hint
    this.retriable = options.retriable ?? false
  }

  toShape(): ErrorShape {
    return toErrorShape(this)
  }
}

/** Of many errors that somebody counts on: a stack for each costs more than all the rest, and tells nothing. */
export function withoutStacks<T>(run: () => T): T {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = before
  }
}

/** Every call on an engine after its `close()`, and what was still asked of it then. */
export function engineClosed(): MillraceError {
  return new MillraceError('ENGINE_CLOSED', 'this engine is closed', {
    detail: 'close() was called',
    hint: 'open it again with Millrace.open()',
  })
}

/** Any thrown value as an {@link ErrorShape}. Foreign errors get the code `fallbackCode`. */
export function toErrorShape(error: unknown, fallbackCode = 'INTERNAL'): ErrorShape {
  if (error instanceof MillraceError) {
    return {
      code: error.code,
      message: error.summary,
      ...(error.detail === undefined ? {} : { detail: error.detail }),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      retriable: error.retriable,
      ...(error.cause === undefined ? {} : { cause: toErrorShape(error.cause, fallbackCode) }),
    }
  }
  if (error instanceof Error) {
    const code = (error as { code?: unknown }).code
    return {
      code: typeof code === 'string' ? code : fallbackCode,
      message: error.message,
      ...(error.stack === undefined ? {} : { detail: error.stack }),
      retriable: false,
    }
  }
  return { code: fallbackCode, message: String(error), retriable: false }
}

/** An error as the figures of a line in a log; `err` is where pino looks for one. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof MillraceError)) return { err: error }
  const { code, summary, detail, hint } = error
  return { code, summary, detail, hint, err: error }
}

export function fromErrorShape(shape: ErrorShape): MillraceError {
  return new MillraceError(shape.code, shape.message, {
    detail: shape.detail,
    hint: shape.hint,
    retriable: shape.retriable,
    cause: shape.cause === undefined ? undefined : fromErrorShape(shape.cause),
  })
}
