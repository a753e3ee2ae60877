// SPDX-License-Identifier: Apache-2.0
/* Tries to get out: a function of a plugin, and with PROGRAM a program. The words of the argument say what is tried (NAME, or
 * NAME=VALUE); a line for each says what came of it: `NAME ok` or `NAME ERRNO`. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <futured/plugin.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static int is_done(int fd)
{
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int make_file(const char *folder)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/escaped", folder);
    return is_done(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* Something is in one of the three, and nothing of anybody else's. */
static int tmp(const char *value)
{
    return make_file("/tmp") < 0 || access("/var/tmp/escaped", F_OK) < 0 ? -1 : unlink("/dev/shm/escaped");
}

/* Until there is no room. */
static int fill(const char *value)
{
    static const char block[65536];
    int fd = open("/tmp/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), error;

    while (fd >= 0 && write(fd, block, sizeof block) > 0)
        ;
    error = errno;
    (void)is_done(fd);
    errno = error;
    return -1;
}

static int connect_tcp(const char *port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(port)),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&to, sizeof to);
}

static int connect_abstract(const char *name)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = strnlen(name, sizeof to.sun_path - 1);

    memcpy(to.sun_path + 1, name, n);
    return fd < 0 ? -1
                  : connect(fd, (const struct sockaddr *)&to,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

static int packet(const char *value)
{
    return is_done(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int trace(const char *value)
{
    return (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static int read_memory(const char *value)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    return is_done(open(path, O_RDONLY | O_CLOEXEC));
}

static int mount_there(const char *value)
{
    return mount("tmpfs", value, "tmpfs", 0, NULL);
}

static int make_writable(const char *value)
{
    return mount(NULL, value, NULL, MS_REMOUNT | MS_BIND, NULL);
}

static int user_namespace(const char *value)
{
    return unshare(CLONE_NEWUSER);
}

static int user_clone(const char *value)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : 0;
}

static const struct
try {
    const char *name;
    int (*run)(const char *value);
}
tries[] = {
        {"outside", make_file},
        {"tmp", tmp},
        {"fill", fill},
        {"tcp", connect_tcp},
        {"abstract", connect_abstract},
        {"packet", packet},
        {"ptrace", trace},
        {"memory", read_memory},
        {"mount", mount_there},
        {"remount", make_writable},
        {"unshare", user_namespace},
        {"clone", user_clone},
};

static void run_all(char *words, char *said, size_t size)
{
    size_t n = 0;

    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        char *value = strchr(word, '=');
        const struct try *t = tries;

        if (value)
            *value++ = '\0';
        while (strcmp(t->name, word) != 0)
            t++;
        n += (size_t)snprintf(said + n, size - n, "%s %s\n", word,
                              t->run(value ? value : "") == 0 ? "ok" : strerrorname_np(errno));
    }
}

#ifdef PROGRAM
int main(int argc, char **argv)
{
    char said[4096] = "";

    run_all(argv[1], said, sizeof said);
    fputs(said, stdout);
    return 0;
}
#else
static int escape(const struct futured_host *host, struct futured_call *call, void *state)
{
    char words[4096], said[4096] = "";
    size_t n;
    const char *argument = host->argument(call, &n);

    snprintf(words, sizeof words, "%.*s", (int)n, argument);
    run_all(words, said, sizeof said);
    return host->set_result(call, said, strlen(said));
}

static const struct futured_plugin_function functions[] = {
        {"escape", "Tries to get out.", NULL, NULL, escape, NULL, NULL},
        {"escape-part", "The same, in less of a sandbox.", NULL, NULL, escape, NULL, NULL},
        {"escape-free", "The same, in none.", NULL, NULL, escape, NULL, NULL},
};

const struct futured_plugin futured_plugin = {
        FUTURED_PLUGIN_ABI,  sizeof(struct futured_plugin),          "escape", "1.0", functions,
        sizeof functions[0], sizeof functions / sizeof functions[0],
};
#endif
