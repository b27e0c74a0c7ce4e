/* Elements of a table of ours as the kernel has them, and how they are to change: what all tables have in common whose
 * chains, rules and sets are fixed. Pure. */
#ifndef AGENT_SERVICE_CHANGE_H
#define AGENT_SERVICE_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#define NFT_KEY_BYTES  20
#define NFT_DATA_BYTES 8

/* A set of a table. Keys of ranges have the last four bytes of the range's end behind those of its beginning: the two
 * differ in nothing else. */
struct nft_set_kind {
    const char *name;
    unsigned key_bytes, data_bytes;
    bool ranges;
};
/* Keys and data as the kernel has them (unused bytes at the end are 0). replaces: an element with this key and other
 * data is there. */
struct nft_change {
    unsigned set; /* of the table's */
    bool add, replaces;
    const uint8_t *key, *data;
};

#endif
