/**
 * Where the engine says what it met that nobody asked for: a torn tail that was cut, a worker that died, a query that
 * failed. The shape is pino's: figures first, as an object, then the words; `console` fits as well.
 */
export interface Logger {
  debug(fields: object, message?: string): void
  info(fields: object, message?: string): void
  warn(fields: object, message?: string): void
  error(fields: object, message?: string): void
}

export type LogLevel = keyof Logger

/** One line for a {@link Logger}, as it crosses threads. */
export interface LogEntry {
  readonly level: LogLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const silence = (): void => {}
export const silentLogger: Logger = { debug: silence, info: silence, warn: silence, error: silence }

/** A logger of the user that throws must not take down what it only was to hear of. The first time it does, the process is warned. */
export function guardedLogger(logger: Logger): Logger {
  let warned = false
  const guarded = (level: LogLevel) => (fields: object, message?: string) => {
    try {
      logger[level](fields, message)
    } catch (error) {
      if (warned) return
      warned = true
      process.emitWarning(`the logger has thrown: ${String(error)}`, 'MillraceWarning')
    }
  }
  return { debug: guarded('debug'), info: guarded('info'), warn: guarded('warn'), error: guarded('error') }
}
