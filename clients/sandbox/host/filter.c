#include "clients/sandbox/host/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
enum {
    THIS_ARCH = AUDIT_ARCH_X86_64 & 0x7fffffff,
    X32_FIRST_CALL = 0x40000000, /* The same calls under other numbers. */
};
#elif defined(__aarch64__)
enum {
    THIS_ARCH = AUDIT_ARCH_AARCH64 & 0x7fffffff,
    X32_FIRST_CALL = 0x40000000,
};
#else
#error "filter.c knows the calls of x86-64 and arm64 only."
#endif

static const unsigned denied_calls[] = {
    SYS_acct,
    SYS_add_key,
    SYS_bpf,
    SYS_chroot,
    SYS_delete_module,
    SYS_fanotify_init,
    SYS_finit_module,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fsopen,
    SYS_fspick,
    SYS_init_module,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_uring_setup,
    SYS_kcmp,
    SYS_kexec_load,
    SYS_keyctl,
    SYS_lookup_dcookie,
    SYS_mount,
    SYS_mount_setattr,
    SYS_move_mount,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_open_tree,
    SYS_perf_event_open,
    SYS_pidfd_getfd,
    SYS_pivot_root,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_ptrace,
    SYS_quotactl,
    SYS_reboot,
    SYS_request_key,
    SYS_setns,
    SYS_settimeofday,
    SYS_swapoff,
    SYS_swapon,
    SYS_syslog,
    SYS_umount2,
    SYS_unshare,
    SYS_userfaultfd,
    SYS_vhangup,
};

/* What a terminal would take for typed. */
static const unsigned denied_controls[] = {TIOCSTI, TIOCLINUX};

/* Of sockets: others have had holes, or lead past a network namespace (vsock). */
static const unsigned allowed_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static const unsigned namespace_flags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                        CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

struct writer {
    struct sock_filter *code;
    size_t len;
};

static void put(struct writer *writer, struct sock_filter instruction)
{
    assert(writer->len < FILTER_LENGTH_MAX);
    writer->code[writer->len++] = instruction;
}

static void load(struct writer *writer, size_t offset)
{
    put(writer, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void end(struct writer *writer, unsigned action)
{
    put(writer, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static void fail(struct writer *writer, int error)
{
    end(writer, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA));
}

/* What follows is passed over by so many instructions unless the comparison holds. */
static void unless(struct writer *writer, unsigned comparison, unsigned value, unsigned skip)
{
    assert(skip <= UINT8_MAX);
    put(writer,
        (struct sock_filter)BPF_JUMP(BPF_JMP | comparison | BPF_K, value, 0, (uint8_t)skip));
}

static void load_call(struct writer *writer)
{
    load(writer, offsetof(struct seccomp_data, nr));
}

/* The lower half of an argument: what is asked about is never longer. */
static void load_argument(struct writer *writer, unsigned number)
{
    load(writer, offsetof(struct seccomp_data, args) + 8 * number);
}

static void check_architecture(struct writer *writer)
{
    load(writer, offsetof(struct seccomp_data, arch));
    put(writer, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x7fffffff));
    put(writer, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0));
    fail(writer, ENOSYS);
    load_call(writer);
    unless(writer, BPF_JGE, X32_FIRST_CALL, 1);
    fail(writer, ENOSYS);
}

static void deny_namespaces(struct writer *writer)
{
    /* Its flags are in memory, where no filter can look; libc asks by clone() then. */
    unless(writer, BPF_JEQ, SYS_clone3, 1);
    fail(writer, ENOSYS);
    unless(writer, BPF_JEQ, SYS_clone, 4);
    load_argument(writer, 0);
    unless(writer, BPF_JSET, namespace_flags, 1);
    fail(writer, EPERM);
    end(writer, SECCOMP_RET_ALLOW);
}

static void deny_controls(struct writer *writer)
{
    unless(writer, BPF_JEQ, SYS_ioctl, 2 * COUNT_OF(denied_controls) + 2);
    load_argument(writer, 1);
    for (size_t i = 0; i < COUNT_OF(denied_controls); i++) {
        unless(writer, BPF_JEQ, denied_controls[i], 1);
        fail(writer, EPERM);
    }
    end(writer, SECCOMP_RET_ALLOW);
}

static void deny_sockets(struct writer *writer)
{
    static const unsigned calls[] = {SYS_socket, SYS_socketpair};
    for (size_t call = 0; call < COUNT_OF(calls); call++) {
        unless(writer, BPF_JEQ, calls[call], 2 * COUNT_OF(allowed_families) + 2);
        load_argument(writer, 0);
        for (size_t i = 0; i < COUNT_OF(allowed_families); i++) {
            unless(writer, BPF_JEQ, allowed_families[i], 1);
            end(writer, SECCOMP_RET_ALLOW);
        }
        fail(writer, EAFNOSUPPORT);
    }
}

size_t filter_make(struct sock_filter ret[FILTER_LENGTH_MAX])
{
    struct writer writer = {.code = ret};
    check_architecture(&writer);
    for (size_t i = 0; i < COUNT_OF(denied_calls); i++) {
        unless(&writer, BPF_JEQ, denied_calls[i], 1);
        fail(&writer, EPERM);
    }
    deny_namespaces(&writer);
    deny_controls(&writer);
    deny_sockets(&writer);
    end(&writer, SECCOMP_RET_ALLOW);
    return writer.len;
}
