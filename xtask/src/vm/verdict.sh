# Ends the machine at once, and tells by QEMU's exit status how the tests ended: what is written to this port, doubled,
# plus one.
if [ "$SERVICE_RESULT" = success ]; then
  verdict='\040'
else
  verdict='\041'
fi
printf "$verdict" | dd of=/dev/port bs=1 seek=$((0xf4)) conv=notrunc status=none
