/* Failpoints: named places where a test makes something go wrong in a real process, to the instruction: die here, fail
 * here, be slow here.
 *
 * Every build has them (a branch on one byte that is never set); only test programs can arm them: they are linked with
 * tests/kit/failpoint_env.c, which reads REEVE_FAILPOINTS before main. Shipped programs are not, so nobody outside can
 * reach them.
 *
 * REEVE_FAILPOINTS="NAME=ACTION[@N][,NAME=ACTION...]": at the N-th hit (default 1; @N+ = at every hit from the N-th
 * on). Actions:
 *   crash        the process dies of SIGKILL, as by a pulled plug
 *   error        failpoint() returns true: the caller goes the way it goes when that step fails
 *   sleep:MS     the calling thread stands still
 *   stand        the process stops as by SIGSTOP, until SIGCONT: who waits for that knows where it is
 *
 * The state is the process's (a fault in one of several masters of a simulator is simulated otherwise): the one mutable
 * global of Reeve, caches of memory that are a thread's own aside (base/mem.c, raft-store/raft/raft_heap.c). */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>

/* Sorted. A name says the place, not what happens there. */
#define FAILPOINT_LIST(X)                                                                                              \
    X(apply_damaged)                                                                                                   \
    X(backup_piece)                                                                                                    \
    X(ca_after_commit)                                                                                                 \
    X(ca_after_part)                                                                                                   \
    X(ca_before_commit)                                                                                                \
    X(ca_before_part)                                                                                                  \
    X(ca_before_removal)                                                                                               \
    X(clean_before_prune)                                                                                              \
    X(container_after_mount)                                                                                           \
    X(container_after_start)                                                                                           \
    X(container_before_end)                                                                                            \
    X(container_before_start)                                                                                          \
    X(container_in_removal)                                                                                            \
    X(install_after_put)                                                                                               \
    X(install_before_put)                                                                                              \
    X(lease_unknown)                                                                                                   \
    X(level_of_program)                                                                                                \
    X(local_after_rename)                                                                                              \
    X(local_after_trash)                                                                                               \
    X(local_before_mode)                                                                                               \
    X(local_before_note)                                                                                               \
    X(local_before_sync)                                                                                               \
    X(local_before_trash)                                                                                              \
    X(mark_write)                                                                                                      \
    X(member_add_appended)                                                                                             \
    X(member_join_before_add)                                                                                          \
    X(member_join_before_answer)                                                                                       \
    X(member_join_before_drop)                                                                                         \
    X(member_promote_appended)                                                                                         \
    X(member_remove_after_change)                                                                                      \
    X(member_remove_appended)                                                                                          \
    X(member_remove_before_change)                                                                                     \
    X(network_after_link)                                                                                              \
    X(network_after_rules)                                                                                             \
    X(pair_before_cert)                                                                                                \
    X(pair_before_key)                                                                                                 \
    X(pod_after_clean)                                                                                                 \
    X(pod_after_keep)                                                                                                  \
    X(pod_before_clean)                                                                                                \
    X(pod_before_forget)                                                                                               \
    X(promise_before_note)                                                                                             \
    X(quarantine_after_rename)                                                                                         \
    X(quarantine_before_rename)                                                                                        \
    X(reconcile_violation)                                                                                             \
    X(recover_before_config)                                                                                           \
    X(recover_before_end)                                                                                              \
    X(recover_before_identity)                                                                                         \
    X(recover_before_quarantine)                                                                                       \
    X(recover_before_rename)                                                                                           \
    X(rejoin_before_ask)                                                                                               \
    X(rejoin_before_config)                                                                                            \
    X(rejoin_before_identity)                                                                                          \
    X(repair_before_marker)                                                                                            \
    X(reseal_after_key)                                                                                                \
    X(reseal_after_step)                                                                                               \
    X(reseal_before_drop)                                                                                              \
    X(reseal_before_key)                                                                                               \
    X(reseal_before_step)                                                                                              \
    X(reseal_before_store)                                                                                             \
    X(rotate_after_cas)                                                                                                \
    X(rotate_after_step)                                                                                               \
    X(rotate_before_cas)                                                                                               \
    X(rotate_before_step)                                                                                              \
    X(run_after_serving)                                                                                               \
    X(run_before_look)                                                                                                 \
    X(run_before_repair)                                                                                               \
    X(run_before_serving)                                                                                              \
    X(sandbox_before_info)                                                                                             \
    X(setup_before_config)                                                                                             \
    X(setup_before_state)                                                                                              \
    X(snapshot_before_put)                                                                                             \
    X(sub_path_before_mount)                                                                                           \
    X(uid_of_former)                                                                                                   \
    X(volume_before_mode)                                                                                              \
    X(volume_before_rename)

enum failpoint {
#define X(name) FAILPOINT_##name,
    FAILPOINT_LIST(X)
#undef X
        FAILPOINT_COUNT
};

extern unsigned char failpoint_armed[FAILPOINT_COUNT];
bool failpoint_hit(enum failpoint f);

/* True: behave as if this step had failed. Any thread. */
static inline bool failpoint(enum failpoint f)
{
    return __builtin_expect(failpoint_armed[f], 0) && failpoint_hit(f);
}

/* Arms as the text says, on top of what is armed. False: the text is malformed (nothing of the bad part is armed); *bad
 * points at it. Not while other threads hit failpoints. */
bool failpoint_arm(const char *text, const char **bad);
void failpoint_disarm_all(void);
const char *failpoint_name(enum failpoint f);
unsigned failpoint_hits(enum failpoint f); /* since it was armed */

#endif
