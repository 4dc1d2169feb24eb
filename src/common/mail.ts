import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'

/**
 * Messages taken from a port one by one, while no event loop runs. In a thread that is being terminated Node takes the message out of the port and gives
 * `undefined` in its place (`MessagePort::ReceiveMessage` where JavaScript may not be called any more), a moment before the thread is interrupted: what would
 * be done with that could only be wrong, and be told to others, so nothing more is done. No message of ours is `undefined`.
 */
export function nextMessage<Message>(port: MessagePort): Message | undefined {
  const received = receiveMessageOnPort(port) as { readonly message: Message | undefined } | undefined
  if (received !== undefined && received.message === undefined) awaitTermination()
  return received?.message
}

/** For a few microseconds; in steps, so that the interruption is met between two. */
function awaitTermination(): never {
  const word = new Int32Array(new SharedArrayBuffer(4))
  for (;;) Atomics.wait(word, 0, 0, 1)
}
