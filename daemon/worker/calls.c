// SPDX-License-Identifier: Apache-2.0
#include "worker/calls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

#include <asm/ioctls.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* What is not known to this library or this machine's kernel is left out: nobody can call it then. */
static const char *const refused[] = {
        /* memory and state of other processes */
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "process_madvise",
        "process_mrelease",
        "kcmp",
        "pidfd_getfd",
        "move_pages",
        "migrate_pages",
        /* namespaces, mounts, roots */
        "unshare",
        "setns",
        "mount",
        "umount",
        "umount2",
        "pivot_root",
        "chroot",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        /* files past their permissions, and everybody's events */
        "open_by_handle_at",
        "name_to_handle_at",
        "fanotify_init",
        "quotactl",
        "quotactl_fd",
        "acct",
        "swapon",
        "swapoff",
        "lookup_dcookie",
        "vhangup",
        /* the kernel itself, and ways around this filter */
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "init_module",
        "finit_module",
        "delete_module",
        "create_module",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "syslog",
        "iopl",
        "ioperm",
        "modify_ldt",
        "uselib",
        "ustat",
        "sysfs",
        "_sysctl",
        "nfsservctl",
        "personality",
        /* the machine's clock and name, and the keyrings */
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "stime",
        "sethostname",
        "setdomainname",
        "add_key",
        "request_key",
        "keyctl",
};

static const uint64_t namespaces[] = {CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,   CLONE_NEWNET,
                                      CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP};

static int refuse(scmp_filter_ctx ctx, int call, struct scmp_arg_cmp when)
{
    return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), call, 1, &when);
}

/* Where the argument under mask is bits. */
static int refuse_bits(scmp_filter_ctx ctx, int call, unsigned int argument, uint64_t mask, uint64_t bits)
{
    return refuse(ctx, call, (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, mask, bits});
}

/* All but Unix, IP and netlink, by which libraries ask for addresses. There are no conditions of two on one argument. */
static int refuse_families(scmp_filter_ctx ctx)
{
    int r = refuse(ctx, SCMP_SYS(socket), (struct scmp_arg_cmp){0, SCMP_CMP_GT, AF_NETLINK, 0});

    for (unsigned int family = 0; family < AF_NETLINK && r == 0; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            r = refuse(ctx, SCMP_SYS(socket), (struct scmp_arg_cmp){0, SCMP_CMP_EQ, family, 0});
    return r;
}

static int add_rules(scmp_filter_ctx ctx)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(refused) && r == 0; i++) {
        int call = seccomp_syscall_resolve_name(refused[i]);

        if (call != __NR_SCMP_ERROR)
            r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(namespaces) && r == 0; i++)
        r = refuse_bits(ctx, SCMP_SYS(clone), 0, namespaces[i], namespaces[i]);
    /* its flags are in memory, where no filter looks; who is told that there is none uses clone */
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* typing into a terminal that others read */
    if (r == 0)
        r = refuse_bits(ctx, SCMP_SYS(ioctl), 1, UINT32_MAX, TIOCSTI);
    if (r == 0)
        r = refuse_bits(ctx, SCMP_SYS(ioctl), 1, UINT32_MAX, TIOCLINUX);
    return r == 0 ? refuse_families(ctx) : r;
}

/* The filter as libseccomp writes it: there is no way to get it but a file. */
static int export(scmp_filter_ctx ctx, struct arena *a, struct sock_fprog *ret)
{
    int fd CLEANUP(err_close) = memfd_create("filter", MFD_CLOEXEC), r;
    struct stat st;

    if (fd < 0)
        return -errno;
    r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    ret->len = (unsigned short)((size_t)st.st_size / sizeof *ret->filter);
    ret->filter = arena_alloc(a, (size_t)st.st_size);
    if (!ret->filter)
        return -ENOMEM;
    return pread(fd, ret->filter, (size_t)st.st_size, 0) == st.st_size ? 0 : -EIO;
}

int calls_filter(struct arena *a, struct sock_fprog *ret)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int r;

    if (!ctx)
        return -ENOMEM;
    /* not a kill of the process, which the library knows only where seccomp() may be called: the unit refuses it */
    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    if (r == 0)
        r = add_rules(ctx);
    if (r == 0)
        r = export(ctx, a, ret);
    seccomp_release(ctx);
    return r;
}
