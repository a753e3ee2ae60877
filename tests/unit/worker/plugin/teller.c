/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that tell what they do. Each takes a path as its argument, of a pipe that holds it until somebody opens it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <futured/plugin.h>

/* Until the pipe at @path, which is not NUL-terminated, has been opened and closed by somebody. */
static void hold(const char *path, size_t n)
{
    char name[4096], byte;
    int fd;

    if (n == 0 || n >= sizeof name)
        return;
    memcpy(name, path, n);
    name[n] = '\0';
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        while (read(fd, &byte, 1) > 0)
            ;
        close(fd);
    }
}

static int tell(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const char *path = host->argument(call, &n);

    if (!FUTURED_HOST_HAS(host, log))
        return 1;
    if (host->log(call, "one line") || host->output(call, "abc", 3) || host->progress(call, 1, 4, "begun") ||
        host->log(call, "another\n") || host->output(call, "def", 3))
        return 2;
    hold(path, n);
    if (host->progress(call, 4, 4, NULL) || host->log(call, "the end"))
        return 3;
    return host->set_result(call, "done", 4);
}

/* As many bytes of output and of log as its argument says, in lines of 100. */
static int flood(const struct futured_host *host, struct futured_call *call, void *state)
{
    char line[101], text[32] = "";
    const char *argument;
    size_t size, n;

    argument = host->argument(call, &size);
    memcpy(text, argument, size < sizeof text ? size : sizeof text - 1);
    memset(line, 'x', 99);
    line[99] = '\n';
    line[100] = '\0';
    for (n = strtoull(text, NULL, 10); n >= 100; n -= 100)
        if (host->log(call, line) || host->output(call, line, 100))
            return 1;
    return 0;
}

static const struct futured_plugin_function functions[] = {
        {"tell", "Tells of itself, until its pipe is opened.", NULL, NULL, tell, NULL, NULL},
        {"tell-alone", "The same, to be isolated.", NULL, NULL, tell, NULL, NULL},
        {"tell-much", "Tells so many bytes.", NULL, NULL, flood, NULL, NULL},
};

const struct futured_plugin futured_plugin = {
        FUTURED_PLUGIN_ABI,  sizeof(struct futured_plugin),          "teller", "1.0", functions,
        sizeof functions[0], sizeof functions / sizeof functions[0],
};
