import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { javaArguments } from './kafka-tools.js'

/** A broker of one node on the loopback address, with its data in `directory`. */
export interface KafkaBroker {
  readonly address: string
  /** Where the folders of the partitions are. */
  readonly data: string
  /** As an operator would stop it: files are flushed, snapshots of producers written. */
  stop(): Promise<void>
}

const READY = 'Kafka Server started'

export async function startKafka(
  directory: string,
  properties: Readonly<Record<string, string>> = {},
): Promise<KafkaBroker> {
  const data = join(directory, 'data')
  mkdirSync(directory, { recursive: true })
  const [port, controllerPort] = await freePorts(2)
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': data,
    // One node: whatever is replicated has one replica, and few partitions of it are enough.
    'default.replication.factor': '1',
    'min.insync.replicas': '1',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    ...properties,
  }
  const file = join(directory, 'server.properties')
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const java = javaArguments('info')
  const cluster = randomBytes(16).toString('base64url')
  execFileSync('java', [...java, '-Xmx128m', 'kafka.tools.StorageTool', 'format', '-t', cluster, '-c', file])
  const broker = spawn('java', [...java, '-Xmx512m', 'kafka.Kafka', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  await ready(broker)
  return {
    address: `127.0.0.1:${port}`,
    data,
    stop: () =>
      new Promise((resolve) => {
        if (broker.exitCode !== null) resolve()
        broker.once('exit', () => resolve())
        broker.kill('SIGTERM')
      }),
  }
}

/** Resolves with the line that says so; its output is read to the end, or it would stand still. */
function ready(broker: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = ''
    const listen = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-20_000)
      if (output.includes(READY)) resolve()
    }
    broker.stdout?.on('data', listen)
    broker.stderr?.on('data', listen)
    broker.once('exit', (code) => reject(new Error(`the broker ended with ${code}: ${output.slice(-3000)}`)))
    process.once('exit', () => broker.kill('SIGKILL'))
  })
}

/** Ports that nobody has at the moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))))
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
