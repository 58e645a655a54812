# What the tests print goes to the host by the machine's only port of this kind, apart from what the machine says.
exec >"$(echo /dev/vport*)" 2>&1
