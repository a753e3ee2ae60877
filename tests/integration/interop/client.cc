// SPDX-License-Identifier: Apache-2.0
// The contract as a client of libgrpc++ sees it. Each line: what was done, the type of what came, and that as JSON, decoded by
// the generated code. test_interop.py compares. Usage: client ADDRESS GATE.
#include "futured/v1/futures.grpc.pb.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "google/rpc/error_details.pb.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <iostream>
#include <memory>

using namespace futured::v1;

static void say(const std::string &what, const google::protobuf::Message &m)
{
    std::string json;

    if (!google::protobuf::util::MessageToJsonString(m, &json).ok())
        std::abort();
    std::cout << what << " " << m.GetTypeName() << " " << json << "\n";
}

template <class M> static void say_detail(const std::string &what, const google::protobuf::Any &any)
{
    M m;

    if (any.UnpackTo(&m))
        say(what, m);
}

static void say_details(const std::string &what, const google::rpc::Status &status)
{
    for (const auto &any : status.details()) {
        say_detail<google::rpc::ErrorInfo>(what, any);
        say_detail<google::rpc::BadRequest>(what, any);
        say_detail<google::rpc::ResourceInfo>(what, any);
        say_detail<google::rpc::PreconditionFailure>(what, any);
        say_detail<google::rpc::QuotaFailure>(what, any);
        say_detail<google::rpc::RetryInfo>(what, any);
    }
}

/* A failed call: its code and text, and the details that came with it. */
static void say_error(const std::string &what, const grpc::Status &status)
{
    google::rpc::Status details, plain;

    if (!details.ParseFromString(status.error_details()))
        std::abort();
    plain.set_code(status.error_code());
    plain.set_message(status.error_message());
    say(what, plain);
    say_details(what, details);
}

static void must(const grpc::Status &status)
{
    if (status.ok())
        return;
    std::cerr << status.error_code() << " " << status.error_message() << "\n";
    std::exit(1);
}

struct Client {
    std::unique_ptr<Futures::Stub> futures;
    std::unique_ptr<google::longrunning::Operations::Stub> operations;

    SubmitRequest request(const std::string &function, const std::string &argument)
    {
        SubmitRequest r;

        r.mutable_task()->set_function(function);
        r.mutable_task()->set_argument(argument);
        return r;
    }

    std::string submit(const std::string &function, const std::string &argument)
    {
        grpc::ClientContext c;
        SubmitResponse r;

        must(futures->Submit(&c, request(function, argument), &r));
        return r.future().id();
    }

    void unary()
    {
        grpc::ClientContext a, b, c, d, e;
        SubmitRequest asked = request("sha256", "abc");
        google::longrunning::GetOperationRequest operation_request;
        google::longrunning::Operation operation;
        SubmitResponse submitted;
        WaitRequest wait;
        WaitResponse waited;
        GetRequest get;
        RunRequest run;
        Future future;

        (*asked.mutable_task()->mutable_labels())["k"] = "v";
        asked.set_group("g");
        asked.set_tag("t");
        must(futures->Submit(&a, asked, &submitted));
        say("submit", submitted);
        wait.mutable_selector()->add_ids(submitted.future().id());
        wait.set_view(VIEW_FULL);
        must(futures->Wait(&b, wait, &waited));
        say("wait", waited);
        get.set_id(submitted.future().id());
        must(futures->Get(&c, get, &future));
        say("get", future);
        operation_request.set_name("futures/" + submitted.future().id());
        must(operations->GetOperation(&d, operation_request, &operation));
        say("operation", operation);
        *run.mutable_submit() = request("fail", "no good");
        must(futures->Run(&e, run, &future));
        say("run", future);
        watch(submitted.future().id());
    }

    void watch(const std::string &id)
    {
        grpc::ClientContext c;
        WatchRequest request;
        FutureEvent event;

        request.mutable_selector()->add_ids(id);
        auto reader = futures->Watch(&c, request);
        while (reader->Read(&event))
            say("watch", event);
        must(reader->Finish());
    }

    RunRequest labelled(const std::string &argument)
    {
        RunRequest r;

        *r.mutable_submit() = request("echo", argument);
        (*r.mutable_submit()->mutable_task()->mutable_labels())["of"] = "round";
        return r;
    }

    /* A key, one that waits for another, what is found of them, and another try. */
    void round()
    {
        grpc::ClientContext a, b, c, d, e, f, g;
        RunRequest keyed = labelled("x"), dependent = labelled("y"), failing;
        SubmitResponse joined;
        ListRequest list;
        ListResponse listed;
        CountRequest count;
        CountResponse counted;
        RetryRequest retry;
        Future future;

        keyed.mutable_submit()->mutable_task()->mutable_options()->set_idempotency_key("key");
        must(futures->Run(&a, keyed, &future));
        say("key", future);
        must(futures->Submit(&b, keyed.submit(), &joined));
        say("key", joined);
        dependent.mutable_submit()->mutable_task()->mutable_options()->add_depends_on(future.id());
        must(futures->Run(&c, dependent, &future));
        say("depends", future);
        list.mutable_selector()->set_filter("function = echo AND labels.of = round");
        list.set_order_by("asc");
        must(futures->List(&d, list, &listed));
        say("list", listed);
        *count.mutable_selector() = list.selector();
        count.set_group_by("function");
        must(futures->Count(&e, count, &counted));
        say("count", counted);
        *failing.mutable_submit() = request("fail", "no");
        must(futures->Run(&f, failing, &future));
        retry.set_id(future.id());
        must(futures->Retry(&g, retry, &future));
        say("retry", future);
    }

    void stream()
    {
        grpc::ClientContext c;
        SubmitResponse r;
        auto stream = futures->SubmitStream(&c);

        for (const char *function : {"echo", "nothing", "echo"})
            if (!stream->Write(request(function, "x")))
                std::abort();
        stream->WritesDone();
        while (stream->Read(&r)) {
            google::rpc::Status details = r.status();

            if (r.has_status()) /* they are said one by one */
                r.mutable_status()->clear_details();
            say("stream", r);
            say_details("stream", details);
        }
        must(stream->Finish());
    }

    void errors()
    {
        grpc::ClientContext a, b, c;
        SubmitResponse submitted;
        GetRequest get;
        Future future;

        get.set_id("x");
        say_error("malformed", futures->Get(&a, get, &future));
        get.set_id("01890000-0000-7000-8000-000000000000");
        say_error("missing", futures->Get(&b, get, &future));
        say_error("unknown", futures->Submit(&c, request("nothing", ""), &submitted));
    }

    void until_running(const std::string &id)
    {
        grpc::ClientContext c;
        WatchRequest request;
        FutureEvent event;

        request.mutable_selector()->add_ids(id);
        auto reader = futures->Watch(&c, request);
        while (reader->Read(&event))
            if ((event.has_snapshot() ? event.snapshot() : event.state()).state() == STATE_RUNNING)
                break;
        c.TryCancel();
        reader->Finish();
    }

    /* Both workers are held, so that what comes waits, and is cancelled, or finds the queue full. */
    void waiting(const std::string &gate)
    {
        grpc::ClientContext c, d;
        CancelRequest cancel;
        SubmitResponse submitted;
        Future future;
        std::string held[] = {submit("gate", gate), submit("gate", gate)};

        for (const std::string &id : held)
            until_running(id);
        cancel.set_id(submit("echo", "x"));
        cancel.set_reason("no longer wanted");
        must(futures->Cancel(&c, cancel, &future));
        say("cancel", future);
        submit("narrow", "x");
        say_error("full", futures->Submit(&d, request("narrow", "x"), &submitted));
    }
};

int main(int argc, char **argv)
{
    auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
    Client client = {Futures::NewStub(channel), google::longrunning::Operations::NewStub(channel)};

    client.unary();
    client.round();
    client.stream();
    client.errors();
    client.waiting(argv[2]);
    return 0;
}
