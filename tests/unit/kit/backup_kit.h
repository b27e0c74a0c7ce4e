/* What the tests of backup and restore share: rctl and reeve-master as programs, and the files of a kit's cluster. */
#ifndef TESTS_BACKUP_KIT_H
#define TESTS_BACKUP_KIT_H

#include "tests/unit/kit/master_kit.h"

#define PASSPHRASE "correct horse battery"

/* PROGRAM of the build ("rctl", "tests/reeve-master") without a terminal; both outputs are added to the file `out`.
 * failpoints: may be NULL. */
pid_t start_program(const char *program, const char *failpoints, const char *out, const char *const *args);
bool is_over(pid_t pid, int *rc); /* rc: exit code, or 128 + signal */
/* Until it ends, while the loop turns: its exit code; what it said lives as long as the kit. */
int run(struct kit *k, const char *program, const char *failpoints, const char **said, const char *const *args);

const char *in_dir(struct kit *k, const char *name); /* a path in the kit's directory */
void put_file(const char *path, const void *p, size_t n);
const char *passphrase_file(struct kit *k);
/* The first administrator's configuration, pointed at master i. */
const char *config_for(struct kit *k, unsigned i);

/* rctl backup save by that master; option: one more, may be NULL. */
int save(struct kit *k, unsigned by, const char *file, const char *option, const char **said);
/* It must work; the file. */
const char *saved(struct kit *k, unsigned by);
/* What `rctl backup show` tells. */
struct value *show(struct kit *k, const char *file);

/* A place for a restored master: its number. */
unsigned new_place(struct kit *k);
int restore(struct kit *k, unsigned i, const char *file, const char *failpoints, const char **said);
/* It must work; the master's number. */
unsigned restored(struct kit *k, const char *file);
void kill_all(struct kit *k); /* SIGKILL */

#endif
