import { register } from 'tsx/esm/api'

/**
 * Runs the TypeScript file that is its first argument. The loader is registered by a call, not by an argument of the
 * process: threads inherit arguments, and the engine's threads would then load it too, whose WebAssembly makes V8 check at every access to
 * a typed array whether its buffer is still there. What is measured is the engine as its users run it.
 */
register()
const [file] = process.argv.splice(2, 1)
await import(new URL(file, import.meta.url).href)
