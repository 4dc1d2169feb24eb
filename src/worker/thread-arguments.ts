/**
 * Node's own arguments for a thread. A thread inherits those of the process, which is right for all but one: `--input-type` goes with a
 * program that was given as text (`node --input-type=module -e …`), and a thread that is started from a file refuses it.
 * Then it gets none; what stands in NODE_OPTIONS reaches it all the same.
 */
export function threadArguments(): { readonly execArgv?: string[] } {
  return process.execArgv.some((argument) => argument.startsWith('--input-type')) ? { execArgv: [] } : {}
}
