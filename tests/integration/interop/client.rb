# SPDX-License-Identifier: Apache-2.0
# The contract as a client of Ruby's gRPC sees it: as client.cc. Usage: ruby -ISTUBS client.rb ADDRESS GATE.
require 'google/protobuf/well_known_types'
require 'google/rpc/error_details_pb'
require 'google/rpc/status_pb'
require 'grpc'
require 'futured/v1/futures_services_pb'
require 'google/longrunning/operations_services_pb'

include Futured::V1 # rubocop:disable Style/MixinUsage

DETAILS = [Google::Rpc::ErrorInfo, Google::Rpc::BadRequest, Google::Rpc::ResourceInfo, Google::Rpc::PreconditionFailure,
           Google::Rpc::QuotaFailure, Google::Rpc::RetryInfo].freeze

def say(what, message)
  puts "#{what} #{message.class.descriptor.name} #{message.class.encode_json(message)}"
end

def say_details(what, status)
  status.details.each do |any|
    kind = DETAILS.find { |d| any.is(d) }
    say(what, any.unpack(kind)) if kind
  end
end

# A failed call: its code and text, and the details that came with it.
def say_error(what)
  yield
  abort "#{what}: no error"
rescue GRPC::BadStatus => e
  say(what, Google::Rpc::Status.new(code: e.code, message: e.details))
  say_details(what, Google::Rpc::Status.decode(e.metadata['grpc-status-details-bin']))
end

def request(function, argument, **fields)
  SubmitRequest.new(task: Task.new(function: function, argument: argument, **fields))
end

address, gate = ARGV
futures = Futures::Stub.new(address, :this_channel_is_insecure)
operations = Google::Longrunning::Operations::Stub.new(address, :this_channel_is_insecure)
submit = ->(function, argument) { futures.submit(request(function, argument)).future.id }

# unary calls
asked = request('sha256', 'abc', labels: { 'k' => 'v' })
asked.group = 'g'
asked.tag = 't'
submitted = futures.submit(asked)
id = submitted.future.id
say('submit', submitted)
say('wait', futures.wait(WaitRequest.new(selector: Selector.new(ids: [id]), view: :VIEW_FULL)))
say('get', futures.get(GetRequest.new(id: id)))
say('operation', operations.get_operation(Google::Longrunning::GetOperationRequest.new(name: "futures/#{id}")))
say('run', futures.run(RunRequest.new(submit: request('fail', 'no good'))))
futures.watch(WatchRequest.new(selector: Selector.new(ids: [id]))).each { |event| say('watch', event) }

# a key, one that waits for another, what is found of them, and another try
labels = { 'of' => 'round' }
keyed = request('echo', 'x', labels: labels, options: TaskOptions.new(idempotency_key: 'key'))
future = futures.run(RunRequest.new(submit: keyed))
say('key', future)
say('key', futures.submit(keyed))
dependent = request('echo', 'y', labels: labels, options: TaskOptions.new(depends_on: [future.id]))
say('depends', futures.run(RunRequest.new(submit: dependent)))
selector = Selector.new(filter: 'function = echo AND labels.of = round')
say('list', futures.list(ListRequest.new(selector: selector, order_by: 'asc')))
say('count', futures.count(CountRequest.new(selector: selector, group_by: 'function')))
failed = futures.run(RunRequest.new(submit: request('fail', 'no')))
say('retry', futures.retry(RetryRequest.new(id: failed.id)))

# a stream both ways
futures.submit_stream(%w[echo nothing echo].map { |f| request(f, 'x') }).each do |r|
  status = r.status
  r.status = Google::Rpc::Status.new(code: status.code, message: status.message) if status # details are said one by one
  say('stream', r)
  say_details('stream', status) if status
end

# errors
say_error('malformed') { futures.get(GetRequest.new(id: 'x')) }
say_error('missing') { futures.get(GetRequest.new(id: '01890000-0000-7000-8000-000000000000')) }
say_error('unknown') { futures.submit(request('nothing', '')) }

# Both workers are held, so that what comes waits, and is cancelled, or finds the queue full.
[submit.call('gate', gate), submit.call('gate', gate)].each do |held|
  futures.watch(WatchRequest.new(selector: Selector.new(ids: [held]))).each do |event|
    break if (event.snapshot || event.state).state == :STATE_RUNNING
  end
end
say('cancel', futures.cancel(CancelRequest.new(id: submit.call('echo', 'x'), reason: 'no longer wanted')))
submit.call('narrow', 'x')
say_error('full') { submit.call('narrow', 'x') }
