/* sim/small/configs.h - numbers for the few configurations of a small world, and ids for members.
 *
 * Memory:  in place. Threads: none. Errors: a world that makes more configurations than there is
 * room for ends the process.
 */
#ifndef SIM_SMALL_CONFIGS_H
#define SIM_SMALL_CONFIGS_H

#include "sim/small/model.h"
#include "wire/config.h"

#define SMALL_CONFIGS 250u /* With every renaming of each. */

struct configs {
    uint32_t count;
    struct config items[SMALL_CONFIGS]; /* From 1 on; item 0 is the empty one. */
};

struct mortar_member_id small_id(uint8_t member);
uint8_t small_number(const struct mortar_member_id *id);

uint8_t configs_number(struct configs *configs, const struct config *config);
/* The same configuration with other names: `names[m]` is the new number of m. */
uint8_t configs_rename(struct configs *configs, uint8_t number, const uint8_t *names);

#endif
