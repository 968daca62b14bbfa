# Prints a pipeline with one job for each tool.
for tool in tools/*.sh; do
    name=$(basename "$tool" .sh)
    printf 'syntax-%s:\n  script: sh -n %s\n' "$name" "$tool"
done
