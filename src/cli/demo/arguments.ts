import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'

/** What the demo can be told on its command line. */
export type DemoMode = 'batch' | 'micro-batch' | 'continuous'

export interface DemoArguments {
  readonly events: number
  /** Records a second of the live replay. */
  readonly rate: number
  readonly dir: string
  readonly modes: readonly DemoMode[]
  readonly workers: number
}

export const FLIGHTS_IN_FILE = 3_000_000
export const demoModes: readonly DemoMode[] = ['batch', 'micro-batch', 'continuous']

export function demoCommand(run: (args: DemoArguments) => Promise<void>): Command {
  return new Command('millrace demo')
    .description(
      'Produces real flight records into a durable topic, runs one query over them in three modes\n' +
        '(batch, micro-batch, continuous) and compares rows, throughput, latency and CPU.',
    )
    .addOption(
      new Option('--events <count>', `how many of the ${FLIGHTS_IN_FILE.toLocaleString('en')} flights to use`)
        .default(FLIGHTS_IN_FILE)
        .argParser((text) => countBetween(text, 1, FLIGHTS_IN_FILE)),
    )
    .addOption(
      new Option('--rate <records/s>', 'speed of the live replay for micro-batch and continuous')
        .default(200_000)
        .argParser((text) => countBetween(text, 1, 100_000_000)),
    )
    .addOption(new Option('--dir <path>', 'where log and checkpoints are kept').default('./millrace-demo'))
    .addOption(
      new Option('--modes <list>', `which to run, separated by commas: ${demoModes.join(', ')}`)
        .default([...demoModes], 'all three')
        .argParser(modesOf),
    )
    .addOption(
      new Option('--workers <count>', 'worker threads')
        .default(availableParallelism(), 'one for each core')
        .argParser((text) => countBetween(text, 1, 29)),
    )
    .action((args: DemoArguments) => run(args))
}

function countBetween(text: string, least: number, most: number): number {
  const value = Number(text.replaceAll(/[_,]/g, ''))
  if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`)
  }
  return value
}

function modesOf(text: string): DemoMode[] {
  const asked = text.split(',').map((name) => name.trim().toLowerCase().replace('microbatch', 'micro-batch'))
  for (const name of asked) {
    if (!demoModes.some((mode) => mode === name)) {
      throw new InvalidArgumentError(`There is no mode '${name}'; there are ${demoModes.join(', ')}.`)
    }
  }
  // Always in one order, batch first: the others are compared with it.
  return demoModes.filter((mode) => asked.includes(mode))
}
