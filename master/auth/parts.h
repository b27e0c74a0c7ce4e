/* The parts of the CA's key that this master keeps, and the file they are in: ca.part, a line for each generation
 * (authority.h).
 *
 *   GENERATION DEAL X PART CHECK
 *
 * GENERATION is a number, DEAL the name of the split that the part is of (two leaders may have tried the same
 * number), X and PART are proto/pki/share.h's, in hexadecimal. CHECK is of the line before it: a line that the disk
 * has damaged is passed over, and counts as lost. The file is replaced as a whole and is on the disk when parts_save
 * has returned. */
#ifndef MASTER_AUTH_PARTS_H
#define MASTER_AUTH_PARTS_H

#include "master/config.h"
#include "proto/pki/share.h"

#define PARTS_FILE      "ca.part"
#define PARTS_MAX       4u /* generations: the one that counts, and those that were just handed out */
#define PARTS_DEAL_SIZE 17 /* 16 hexadecimal digits and NUL */

struct part {
    uint64_t generation;
    char deal[PARTS_DEAL_SIZE];
    struct pki_share share;
};
struct parts {
    struct part items[PARTS_MAX];
    unsigned count;
};

/* In memory for keys (base/locked.h). */
struct parts *parts_new(void) __attribute__((returns_nonnull));
void parts_free(struct parts *p);
/* What `dir` holds; none if there is no such file. *damaged: lines that are of no use. ERR_IO and the like: it cannot
 * be read. */
int parts_load(const char *dir, struct parts *out, unsigned *damaged, struct error *err);
int parts_save(const char *dir, const struct parts *p, struct error *err);
const struct part *parts_find(const struct parts *p, const char *deal); /* NULL: there is none */
/* A new one; of one deal there is one. When all places are taken the oldest generation but that of `kept` goes. */
void parts_put(struct parts *p, const struct part *part, const char *kept);
/* What is older than this generation, or another deal of it, goes: it counts no more. True: something went. */
bool parts_drop_former(struct parts *p, uint64_t generation, const char *deal);

#endif
