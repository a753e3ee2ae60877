// SPDX-License-Identifier: Apache-2.0
/*
 * A plugin in C++: exceptions become errors of the task, and a state that init makes is handed to each call.
 *
 *     c++ -shared -fPIC -o median.so plugin-median.cpp
 */
#include <futured/plugin.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Counter {
    unsigned long calls = 0;
};

std::string median(const std::string &argument)
{
    std::istringstream in(argument);
    std::vector<double> numbers;
    std::ostringstream out;
    std::string word;

    while (in >> word) {
        char *end;

        numbers.push_back(std::strtod(word.c_str(), &end));
        if (*end)
            throw std::invalid_argument("\"" + word + "\" is no number");
    }
    if (numbers.empty())
        throw std::invalid_argument("there are no numbers");
    std::nth_element(numbers.begin(), numbers.begin() + numbers.size() / 2, numbers.end());
    out << numbers[numbers.size() / 2];
    return out.str();
}

// No exception may leave a function of a plugin: the host is C.
int run(const futured_host *host, futured_call *call, void *state)
{
    try {
        std::size_t n;
        const char *argument = static_cast<const char *>(host->argument(call, &n));
        const std::string result = median(std::string(argument, n));

        static_cast<Counter *>(state)->calls++;
        return host->set_result(call, result.data(), result.size());
    } catch (const std::invalid_argument &e) {
        futured_failure failure = {};

        failure.size = sizeof failure;
        failure.type = "std::invalid_argument";
        failure.message = e.what();
        failure.code = 3; // INVALID_ARGUMENT
        failure.retryable = -1;
        return host->fail_with(call, &failure);
    } catch (const std::exception &e) {
        return host->fail(call, "std::exception", e.what());
    }
}

int count(const futured_host *host, futured_call *call, void *state)
{
    const std::string text = std::to_string(static_cast<Counter *>(state)->calls);

    return host->set_result(call, text.data(), text.size());
}

Counter counter; // one for both functions, one in each process

int init(const futured_host *, void **ret_state)
{
    *ret_state = &counter;
    return 0;
}

const futured_plugin_function functions[] = {
    {"median", "The median of the numbers in the argument.", nullptr, init, run, nullptr, nullptr},
    {"median.calls", "How many medians this process has computed.", nullptr, init, count, nullptr, nullptr},
};

} // namespace

const struct futured_plugin futured_plugin = {
    FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "median", "1.0",
    functions, sizeof functions[0], sizeof functions / sizeof functions[0],
};
