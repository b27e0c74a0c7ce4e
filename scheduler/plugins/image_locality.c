/* ImageLocality: a node that has the pod's images already is the better choice, the more so the larger they are. Unlike
 * in Kubernetes it does not matter how many other nodes have them, too: a score depends on one node alone. */
#include "scheduler/plugins/plugin.h"

#define SMALL_BYTES (23ll << 20)   /* below this it does not matter */
#define LARGE_BYTES (1000ll << 20) /* of each container: above this it does not matter more */

static int image_locality(const struct sched_class *c, const struct sched_node *n)
{
    int64_t have = 0, most = LARGE_BYTES * MAX(1, (int64_t)c->images.count);
    for (unsigned i = 0; i < c->images.count && n->images.count > 0; i++) {
        have = MIN(most, have + images_bytes(&n->images, c->images.items[i].name));
    }
    return have <= SMALL_BYTES ? 0 : (int)((have - SMALL_BYTES) * SCORE_MAX / (most - SMALL_BYTES));
}

const struct plugin plugin_image_locality = {
    .name = "ImageLocality",
    .fixed = true,
    .weight = 1,
    .score = image_locality,
};
