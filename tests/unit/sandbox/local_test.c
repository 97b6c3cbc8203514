/*
 * Goal:   where no sandbox can be made the sentence says what would allow it, and the filter lets
 *         through what programs need and nothing of what it names.
 * Method: what bubblewrap says, word for word; the filter run by hand over calls.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "clients/sandbox/host/filter.h"
#include "clients/sandbox/host/local.h"

/* As the kernel would run it: the instructions the filter is made of. */
static uint32_t run(const struct sock_filter *filter, size_t len, const struct seccomp_data *data)
{
    uint32_t value = 0;
    for (size_t at = 0; at < len; at++) {
        const struct sock_filter *now = &filter[at];
        bool holds = false;
        switch (now->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(now->k + 4 <= sizeof *data);
            memcpy(&value, (const char *)data + now->k, sizeof value);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            value &= now->k;
            continue;
        case BPF_RET | BPF_K:
            return now->k;
        case BPF_JMP | BPF_JEQ | BPF_K:
            holds = value == now->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            holds = value >= now->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            holds = (value & now->k) != 0;
            break;
        default:
            fail_msg("an instruction of an unknown kind at %zu", at);
        }
        at += holds ? now->jt : now->jf;
    }
    fail_msg("the filter has no end");
    return 0;
}

#if defined(__x86_64__)
static const uint32_t this_arch = AUDIT_ARCH_X86_64;
#else
static const uint32_t this_arch = AUDIT_ARCH_AARCH64;
#endif

static uint32_t asked(int call, uint64_t first, uint64_t second)
{
    struct sock_filter filter[FILTER_LENGTH_MAX];
    size_t len = filter_make(filter);
    struct seccomp_data data = {.nr = call, .arch = this_arch, .args = {first, second}};
    return run(filter, len, &data);
}

static uint32_t failing(int error)
{
    return SECCOMP_RET_ERRNO | (uint32_t)error;
}

static void what_programs_need_passes(void **state)
{
    (void)state;
    static const int calls[] = {SYS_read,  SYS_write, SYS_openat, SYS_execve,
                                SYS_futex, SYS_mmap,  SYS_kill,   SYS_openat2};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        assert_int_equal(asked(calls[i], 0, 0), SECCOMP_RET_ALLOW);
    }
    assert_int_equal(asked(SYS_clone, CLONE_VM | CLONE_FS | CLONE_THREAD, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(asked(SYS_ioctl, 0, TCGETS), SECCOMP_RET_ALLOW);
    assert_int_equal(asked(SYS_socket, AF_INET6, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(asked(SYS_socketpair, AF_UNIX, 0), SECCOMP_RET_ALLOW);
}

static void what_it_names_fails(void **state)
{
    (void)state;
    static const int calls[] = {
        SYS_ptrace,           SYS_mount,       SYS_bpf,     SYS_io_uring_setup,
        SYS_unshare,          SYS_setns,       SYS_keyctl,  SYS_umount2,
        SYS_process_vm_readv, SYS_userfaultfd, SYS_vhangup, SYS_acct,
    };
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        assert_int_equal(asked(calls[i], 0, 0), failing(EPERM));
    }
    assert_int_equal(asked(SYS_clone3, 0, 0), failing(ENOSYS));
    assert_int_equal(asked(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0), failing(EPERM));
    assert_int_equal(asked(SYS_clone, CLONE_NEWNET, 0), failing(EPERM));
    assert_int_equal(asked(SYS_ioctl, 0, TIOCSTI), failing(EPERM));
    assert_int_equal(asked(SYS_ioctl, 0, TIOCLINUX), failing(EPERM));
    /* The kernel looks at the lower half only. */
    assert_int_equal(asked(SYS_ioctl, 0, UINT64_C(0x100000000) | TIOCSTI), failing(EPERM));
    assert_int_equal(asked(SYS_socket, AF_VSOCK, 0), failing(EAFNOSUPPORT));
    assert_int_equal(asked(SYS_socketpair, AF_ALG, 0), failing(EAFNOSUPPORT));
}

static void other_sets_of_calls_are_not_there(void **state)
{
    (void)state;
    struct sock_filter filter[FILTER_LENGTH_MAX];
    size_t len = filter_make(filter);
    struct seccomp_data foreign = {.nr = SYS_read, .arch = AUDIT_ARCH_I386};
    struct seccomp_data x32 = {.nr = 0x40000000 | SYS_read, .arch = this_arch};
    assert_int_equal(run(filter, len, &foreign), failing(ENOSYS));
    assert_int_equal(run(filter, len, &x32), failing(ENOSYS));
}

static void assert_explained(const char *said, const char *wanted, bool is_forbidden)
{
    struct arena arena;
    arena_init(&arena, 0);
    status why = local_explain(str_of(said), &arena);
    assert_int_equal(why.code, CODE_FAILED_PRECONDITION);
    assert_non_null(strstr(why.why, wanted));
    assert_int_equal(strstr(why.why, "--security-opt seccomp=unconfined") != NULL, is_forbidden);
    arena_fini(&arena);
}

static void what_would_allow_it_is_said(void **state)
{
    (void)state;
    assert_explained(
        "bwrap: No permissions to create new namespace, likely because the kernel does "
        "not allow non-privileged user namespaces.\n",
        "No permissions to create new namespace", true);
    assert_explained("bwrap: Creating new namespace failed: Operation not permitted\n",
                     "Creating new namespace", true);
    assert_explained("bwrap: Can't mount proc on /newroot/proc: Operation not permitted\n",
                     "systempaths=unconfined", true);
    assert_explained("bwrap: setting up uid map: Permission denied\n",
                     "apparmor_restrict_unprivileged_userns", true);
    assert_explained("bwrap: Can't find source path /root/x: Permission denied\n",
                     "has to be able to reach that path", false);
    assert_explained("bwrap: Can't find source path /x: No such file or directory\n",
                     "(bwrap: Can't find source path /x: No such file or directory).", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_programs_need_passes),
        cmocka_unit_test(what_it_names_fails),
        cmocka_unit_test(other_sets_of_calls_are_not_there),
        cmocka_unit_test(what_would_allow_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
