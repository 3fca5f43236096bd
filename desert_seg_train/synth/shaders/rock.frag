uniform vec3 accent;
uniform float angularity, speckles, bands, bands_per_m, veins, pits, varnish, roughness;
in vec3 world, world_normal, albedo, local;
out vec4 pixel;

void main() {
  vec3 facet = cross(dFdx(world), dFdy(world));
  facet = normalize(facet * sign(dot(facet, eye - world)));
  vec3 normal = normalize(mix(normalize(world_normal), facet, angularity));

  vec3 side = abs(normal);  // box mapping: the texture lies on the plane that the surface faces most
  vec2 at = side.z > max(side.x, side.y) ? world.xy : side.x > side.y ? world.yz : world.xz;
  vec4 coarse = texture(noise, at * 0.13 + 0.17), fine = texture(noise, at * 0.71, -0.7);
  vec4 grain = texture(noise, at * 2.9 + 0.4, -0.5);
  normal = normalize(normal + roughness * (0.9 * (coarse.xyz - 0.5) + 1.3 * (fine.yzx - 0.5) + 0.9 * (grain.xyz - 0.5)));

  vec3 color = albedo * (0.6 + 0.65 * coarse.z) * (0.72 + 0.56 * fine.z) * (0.85 + 0.3 * grain.z);
  float depth = local.z * bands_per_m + 2.0 * coarse.z + 0.7 * fine.z;
  float band = 0.5 + 0.3 * sin(depth * 6.28) + 0.2 * sin(depth * 15.1 + 1.3);
  color = mix(color, mix(color * 0.62, accent * (0.7 + 0.6 * fine.z), band), bands * 0.75);
  color = mix(color, accent, speckles * smoothstep(0.54, 0.62, grain.w));
  color *= 1.0 - 0.65 * speckles * smoothstep(0.46, 0.38, fine.w);
  float vein = min(abs(coarse.z - 0.5), abs(fine.z - 0.47) * 1.6);
  color = mix(color, accent, veins * smoothstep(0.035, 0.008, vein));
  color *= 1.0 - 0.75 * pits * smoothstep(0.44, 0.34, grain.z * 0.6 + fine.w * 0.4);
  color = mix(color, color * vec3(0.34, 0.28, 0.25), varnish * smoothstep(0.25, 0.75, 0.5 * normal.z + coarse.z - 0.1));
  pixel = shade(color, normal, sunlit(world) * max(dot(normal, sun), 0.0), world);
}
