import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/**
 * Kafka's packages and its command-line tools. `KAFKA_JARS` names a folder that has the jars already, or is to get them; the default is
 * one in the user's cache, by version, so that they are fetched once.
 */
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export const kafkaVersion = /<kafka\.version>([^<]+)</.exec(readFileSync(here('pom.xml'), 'utf8'))?.[1] ?? ''

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
const jars = process.env['KAFKA_JARS'] ?? join(cache, 'millrace-kafka', kafkaVersion)

/** Maven's repository answers late at times. */
const FETCH_ATTEMPTS = 3

/** The folder with the jars, fetched where they are missing. */
export function kafkaJars(): string {
  const broker = join(jars, `kafka_2.13-${kafkaVersion}.jar`)
  const complete = join(jars, '.complete')
  if (existsSync(complete) && existsSync(broker)) return jars
  mkdirSync(jars, { recursive: true })
  for (let attempt = 1; ; attempt++) {
    try {
      const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${jars}`]
      execFileSync('mvn', ['-q', '-B', '-f', here('pom.xml'), ...goal], { stdio: ['ignore', 'inherit', 'inherit'] })
      break
    } catch (error) {
      if (attempt === FETCH_ATTEMPTS) throw error
    }
  }
  if (!existsSync(broker)) throw new Error(`Maven brought no ${broker}`)
  writeFileSync(complete, '')
  return jars
}

/** Arguments of `java` up to the class. Log lines below `level` are left out. */
export function javaArguments(level: 'info' | 'warn'): string[] {
  const settings = join(kafkaJars(), `log4j2-${level}.properties`)
  const lines = [
    'status = error',
    'appender.out.type = Console',
    'appender.out.name = out',
    `appender.out.target = ${level === 'info' ? 'SYSTEM_OUT' : 'SYSTEM_ERR'}`,
    'appender.out.layout.type = PatternLayout',
    'appender.out.layout.pattern = %p %m (%c)%n',
    `rootLogger.level = ${level}`,
    'rootLogger.appenderRef.out.ref = out',
  ]
  writeFileSync(settings, `${lines.join('\n')}\n`)
  return ['-cp', `${jars}/*`, `-Dlog4j2.configurationFile=${settings}`, '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
}

export async function runTool(className: string, args: readonly string[]): Promise<string> {
  const java = [...javaArguments('warn'), '-Xmx256m', className, ...args]
  const { stdout, stderr } = await promisify(execFile)('java', java, { maxBuffer: 1 << 28 })
  return stdout + stderr
}

/** What kafka-dump-log says of files, by its own options. Their names must be as Kafka gives them. */
export function dumpLog(files: readonly string[], options: readonly string[] = []): Promise<string> {
  return runTool('org.apache.kafka.tools.DumpLogSegments', [...options, '--files', files.join(',')])
}

/** Lines of a dump in which the tool complains. It ends with 0 all the same. */
export function complaints(dump: string): string[] {
  const wrong = /isvalid: false|invalid bytes|mismatch|corrupt|exception|failed|\bERROR\b/i
  return dump.split('\n').filter((line) => wrong.test(line))
}
