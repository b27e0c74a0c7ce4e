/* proto/schema/kind.c is compiled here a second time, with a list that can be changed, and the linker takes this one:
 * the tables of a program are constants, so that two programs in one process need two. That is why a .c is included. */
#include "tests/sim/kinds.h"

#include <assert.h>
#include <string.h>

#include "proto/schema/table.h"

static const struct kind *const *list = kinds_list;
static unsigned count;

/* ---- What the newer release knows besides ---- */

#define LIST_MAX   128u
#define FIELDS_MAX 32u

/* clang-format off */
SCHEMA_STATIC(novelty_spec, "NoveltySpec", "What is new about it.",
    INT64("above", "A number."));

SCHEMA_STATIC(novelty, "Novelty", "Something new.",
    TYPE_META,
    OBJECT("spec", novelty_spec, "What is new about it."));
/* clang-format on */

static const struct column columns[] = {{.title = "NAME"}, {.title = "AGE"}};

static const struct kind kind_novelty = {
    .id = (enum kind_id)KIND_NOVELTY,
    .name = "Novelty",
    .api_version = "next/v1",
    .plural = "novelties",
    .singular = "novelty",
    .short_names = "nov",
    .namespaced = true,
    .has_generation = true,
    .schema = &novelty,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
};

/* The list with a ConfigMap that has one field more, and with Novelty. */
static const struct kind *const *newer_list(void)
{
    static const struct kind *newer[LIST_MAX];
    static struct field fields[FIELDS_MAX];
    static struct schema schema;
    static struct kind config_map;
    if (newer[0] != NULL) {
        return newer;
    }
    assert(kinds_list_count < LIST_MAX);
    for (unsigned i = 0; i < kinds_list_count; i++) {
        newer[i] = kinds_list[i];
        assert((unsigned)newer[i]->id < KIND_NOVELTY);
        if (newer[i]->id == KIND_CONFIGMAP) {
            config_map = *newer[i];
            newer[i] = &config_map;
        }
    }
    newer[kinds_list_count] = &kind_novelty;
    schema = *config_map.schema;
    assert(schema.count < FIELDS_MAX);
    memcpy(fields, schema.fields, schema.count * sizeof *fields);
    fields[schema.count++] = (struct field)STRING("novelty", "What is new about it.");
    schema.fields = fields;
    config_map.schema = &schema;
    return newer;
}

void kinds_of_release(bool newer)
{
    list = newer ? newer_list() : kinds_list;
    count = kinds_list_count + newer;
}

/* ---- The same as in every program ---- */

#define kinds_list       list
#define kinds_list_count count
#include "proto/schema/kind.c"
