# KTAP of one suite in, one line for each of its innermost tests out:
# `ok kunit/SUITE/CASE` or `not ok ...`. A skipped test, and a plan that
# promises more tests than there are results, count as failures.

function result(good, name, why)
{
	print (good ? "ok " : "not ok ") "kunit/" name (why ? " # " why : "")
}

function close_level(level)
{
	if (planned[level] > done[level])
		result(0, path(level), planned[level] - done[level] " results missing")
	planned[level] = done[level] = 0
	title[level] = ""
}

function path(level,    l, p)
{
	for (l = 1; l <= level; l++)
		if (title[l] != "")
			p = p (p == "" ? "" : "/") title[l]
	return p
}

{
	match($0, /^ */)
	level = int(RLENGTH / 4)
	line = substr($0, RLENGTH + 1)
	if (level > deepest)
		deepest = level
}

line ~ /^# Subtest: / {
	title[level] = substr(line, 12)
	next
}

line ~ /^1\.\.[0-9]+/ {
	planned[level] = substr(line, 4) + 0
	done[level] = 0
	next
}

line ~ /^(not )?ok [0-9]+/ {
	good = line !~ /^not/
	skipped = line ~ /# SKIP/
	name = line
	sub(/^(not )?ok [0-9]+ *(- )?/, "", name)
	sub(/ *# .*/, "", name)
	gsub(/[[:space:]]+/, "_", name)
	inner = done[level + 1]
	for (l = deepest; l > level; l--)
		close_level(l)
	done[level]++
	# the result of a group says nothing that its members did not, unless
	# it failed by itself
	if (!inner || (!good && !bad[level + 1]))
		result(good && !skipped, \
		       (path(level) == "" ? "" : path(level) "/") name, \
		       skipped ? "skipped" : "")
	if (!good)
		bad[level] = 1
	bad[level + 1] = 0
}

END {
	for (l = deepest; l >= 0; l--)
		close_level(l)
}
