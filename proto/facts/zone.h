/* Time zones: by how much a place's clock is off UTC at an instant. Pure: bytes come in, no file is read here
 * (master/zones.h does that). Sources: RFC 8536 (TZif), its footer as POSIX.1-2017 section 8.3 has TZ.
 *
 * A file may come from anywhere: its size, its counts, its offsets and the order of its changes are checked. A zone
 * with leap seconds ("right/...") is refused: nothing here counts them. */
#ifndef PROTO_FACTS_ZONE_H
#define PROTO_FACTS_ZONE_H

#include "base/err.h"

#define ZONE_NAME_MAX     64u
#define ZONE_FILE_MAX     65536u          /* bytes; the largest of Debian's has 4 kB */
#define ZONE_OFFSET_MAX_S (26 * 3600)     /* either way */
#define ZONE_ALWAYS_S     (INT64_MAX / 4) /* ends of the first and of the last span: as good as never */

/* May it be a name of the zone database ("Europe/Berlin", "Etc/GMT+3", "UTC")? Never a path that leaves it. */
bool zone_name_is(struct str name);

struct zone;
/* NULL, with ERR_INVALID in err: the bytes are no TZif file that is understood. The caller owns the zone. */
struct zone *zone_from_file(const void *bytes, size_t size, struct error *err);
/* Of a rule alone: "CET-1CEST,M3.5.0,M10.5.0/3". NULL: it is none. */
struct zone *zone_from_rule(struct str rule);
void zone_free(struct zone *z); /* NULL is fine */

/* A stretch in which one offset holds: local time = UTC + offset_s. Neighbours may have the same offset. */
struct zone_span {
    int64_t from_s, to_s; /* since the epoch, UTC; to_s is the next one's */
    int32_t offset_s;
};
/* The one that an instant lies in. z NULL: UTC. at_s within +-ZONE_ALWAYS_S. */
struct zone_span zone_span_at(const struct zone *z, int64_t at_s);

#endif
