/* The kernel's side of a table of ours: transactions, what is there, who else changes it. One network namespace: that
 * in which it was opened. Calls block for as long as the kernel needs; no loop here. */
#ifndef AGENT_SERVICE_KERNEL_H
#define AGENT_SERVICE_KERNEL_H

#include "agent/service/change.h"
#include "agent/service/nft.h"
#include "base/err.h"

/* Chains, rules and sets, which are fixed but for `with`; the rest are elements. The name ends in a number, which grows
 * with every change of them: then a new agent makes its own table and deletes the former, known by the prefix, in the
 * same transaction. */
struct service_kernel_table {
    const char *name, *prefix;
    const char *what; /* it is "the table of ..." */
    const struct nft_set_kind *sets;
    unsigned sets_count;
    void (*write)(struct nft *n, const void *with); /* into an empty table, which it makes; no elements */
    int (*probe)(int (*attempt)(const struct nft *unended, void *data), void *data, struct error *err);
};
struct service_kernel;
/* ERR_UNSUPPORTED names what this kernel lacks. The table is borrowed. own: tables that are made belong to this opening
 * until it is closed, where the kernel can do so (Linux 6.9): nobody else can change them, and a flush of all rules
 * passes them by. They stay behind it, as anybody's. */
int service_kernel_open(const struct service_kernel_table *table, bool own, struct service_kernel **out,
                        struct error *err);
void service_kernel_close(struct service_kernel *k);

/* True if the table is there with all of its chains and rules. */
bool service_kernel_is_whole(struct service_kernel *k, const void *with);
/* The table belongs to this opening from now on, if it was some former one's. */
void service_kernel_claim(struct service_kernel *k);
/* The table anew with these elements, in one transaction; what was there, also of other versions, is gone. */
int service_kernel_rebuild(struct service_kernel *k, const void *with, const struct nft_change *list, unsigned count,
                           struct error *err);
/* One transaction of what `write` puts into it; the table is there. */
int service_kernel_change(struct service_kernel *k, void (*write)(struct nft *n, const void *with), const void *with,
                          const char *what, struct error *err);
/* One transaction: all of them or none. Much more than SERVICE_KERNEL_CHANGES_MAX no message can hold. */
#define SERVICE_KERNEL_CHANGES_MAX 32768u
int service_kernel_apply(struct service_kernel *k, const struct nft_change *list, unsigned count, struct error *err);
/* What elements there are, in the order of the sets; malloc()ed, freed also after an error. The kernel walks from the
 * beginning for each 32 kB that it tells: 250,000 elements take it seconds. On a socket of its own, from any thread. */
struct service_element {
    unsigned set;
    uint8_t key[NFT_KEY_BYTES], data[NFT_DATA_BYTES];
};
int service_kernel_read(const struct service_kernel_table *table, struct service_element **list, size_t *count,
                        struct error *err);
/* Asks the kernel for these elements. 0: it has them with this data (`add` and `replaces` do not matter). Otherwise
 * *differs says which is not there or another; UINT_MAX: none of them, it cannot be asked. */
int service_kernel_compare(struct service_kernel *k, const struct nft_change *items, unsigned count, unsigned *differs);
/* All tables of ours go, of every version. */
int service_kernel_remove(struct service_kernel *k, struct error *err);

/* Any other table of IPv4 goes, if it is there. */
int service_kernel_drop(struct service_kernel *k, const char *table, struct error *err);

/* ---- Who else changes it ---- */

/* Readable when somebody has changed nf_tables. */
int service_kernel_watch(struct service_kernel *k);
enum service_touched {
    SERVICE_UNTOUCHED,
    SERVICE_ELEMENTS_TOUCHED, /* by somebody else, or it is not known whether */
    SERVICE_TABLE_TOUCHED
};
/* Reads what has been told since; does not block. */
enum service_touched service_kernel_touched(struct service_kernel *k);
/* While much is written nothing is told: telling each element is a third of the kernel's work. Each ends the other;
 * twice the same: nothing. True if somebody else has changed nf_tables meanwhile, whatever of it, or it is not
 * known. */
void service_kernel_watch_pause(struct service_kernel *k);
bool service_kernel_watch_resume(struct service_kernel *k);

#endif
