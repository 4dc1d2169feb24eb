import { type ParseArgsConfig, parseArgs } from 'node:util'

/**
 * The arguments of a script that is run by hand: `--help` prints how it is called, and so does an option that there is not, with status 2.
 */
export function scriptArguments<Config extends ParseArgsConfig>(
  usage: string,
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(usage)
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}
